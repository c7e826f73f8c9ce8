"""The driver: every trial ends exactly once, whatever happens to the driver."""

from __future__ import annotations

import itertools
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launch_toy import ROOT, drive, ends, job, options, signal_group, steps, sweep, until

from harness import records
from harness.errors import EnvironmentProblem
from harness.launch import lock, machine
from harness.launch.queue import due, mine
from harness.launch.sweep import run


def statuses(folder: Path) -> dict[int, str]:
    return {int(trial_id, 16): state.status for trial_id, state in records.scan(folder).items()}


def begun(folder: Path) -> bool:
    return any(b'"row":"checkpoint"' in path.read_bytes() for path in folder.glob("*.partial"))


def test_a_failure_neither_stops_the_sweep_nor_passes_for_success(tmp_path: Path) -> None:
    jobs = [job(1), job(2, fault="raises"), job(3, fault="segfault", once=True), job(4)]
    assert run([sweep(tmp_path, *jobs)], options()) == 1
    assert statuses(tmp_path) == {1: "done", 2: "error", 3: "done", 4: "done"}


def test_unsupported_trials_leave_nothing_to_mend(tmp_path: Path) -> None:
    assert run([sweep(tmp_path, job(1), job(2, fault="unsupported"))], options()) == 0


def test_a_finished_sweep_is_not_run_again(tmp_path: Path) -> None:
    toy = sweep(tmp_path, job(1), job(2, fault="diverges"))
    assert run([toy], options()) == 1
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.jsonl")}
    assert run([toy], options()) == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.jsonl")} == before


def test_attempts_are_counted_over_runs_until_they_are_used_up(tmp_path: Path) -> None:
    toy = sweep(tmp_path, job(1, fault="raises"), max_attempts=2)
    for attempts in (1, 2, 2):
        assert run([toy], options()) == 1
        assert records.scan(tmp_path)[f"{1:012x}"].attempts == attempts
    run([toy], options(retry_statuses=("error",)))
    assert records.scan(tmp_path)[f"{1:012x}"].attempts == 3


def test_a_record_of_other_data_is_made_anew(tmp_path: Path) -> None:
    run([sweep(tmp_path, job(1), job(2))], options())
    again = due(sweep(tmp_path, job(1), job(2), fingerprints={f"{1:012x}": "f2", f"{2:012x}": "f1"}), options())
    assert [(task["job"]["trial_id"], task["fresh"]) for task in again.tasks] == [(f"{1:012x}", True)]


@pytest.mark.parametrize("whole", [1, 2, 3, 7, 11])
def test_shards_cover_the_plan_once(tmp_path: Path, whole: int) -> None:
    toy = sweep(tmp_path, *(job(seed) for seed in range(10)))
    parts = [one["trial_id"] for part in range(1, whole + 1) for one in mine(toy, options(shard=(part, whole)))]
    assert sorted(parts) == sorted(one["trial_id"] for one in toy.jobs)


@pytest.mark.fault
def test_a_second_driver_is_refused_and_told_who_has_the_folder(tmp_path: Path) -> None:
    with lock.driver(tmp_path), pytest.raises(EnvironmentProblem, match=f"process {os.getpid()} on"):
        run([sweep(tmp_path, job(1))], options())


def test_shards_run_beside_each_other_but_not_beside_a_driver_of_the_whole(tmp_path: Path) -> None:
    with lock.driver(tmp_path, (1, 2)), lock.driver(tmp_path, (2, 2)):
        for shard in ((1, 2), None):
            with pytest.raises(EnvironmentProblem, match="is being run by"), lock.driver(tmp_path, shard):
                pass


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    with lock.driver(tmp_path):
        pass
    with lock.driver(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()}")


@pytest.mark.parametrize("asked", [{"cpus_per_trial": 10_000}, {"gpus_per_trial": 512}])
def test_resources_that_no_machine_has_are_refused_before_anything_starts(
    tmp_path: Path, asked: dict[str, float]
) -> None:
    with pytest.raises(EnvironmentProblem, match=r"asks for .* but the largest machine"):
        run([sweep(tmp_path / "toy", job(1), **asked)], options(executor="ray"))
    assert not (tmp_path / "toy").exists()


def test_a_timing_sweep_runs_one_trial_at_a_time(tmp_path: Path) -> None:
    toy = sweep(tmp_path, *(job(seed, steps=2, pause_s=0.1) for seed in range(3)), exclusive=True)
    assert run([toy], options(slots=3)) == 0
    times = sorted(
        (record.header["created"], record.end["time"])
        for record in map(records.read, tmp_path.glob("*.jsonl"))
        if record.end
    )
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(times))
    assert machine.slots(toy, 3) == 1


def test_a_mirror_is_started_before_the_trials_and_drained_after(tmp_path: Path) -> None:
    seen = []

    class Mirror:
        def start(self) -> None:
            seen.append(len(list(tmp_path.glob("*.jsonl"))))

        def stop(self) -> None:
            seen.append(len(list(tmp_path.glob("*.jsonl"))))

    run([sweep(tmp_path, job(1), job(2))], options(mirror=Mirror()))
    assert seen == [0, 2]


def test_a_deadline_stops_cleanly_and_the_rest_goes_on_later(tmp_path: Path) -> None:
    toy = sweep(tmp_path, *(job(seed, steps=6, pause_s=0.3) for seed in range(4)))
    assert run([toy], options(slots=2, deadline_s=2.0)) == 130
    assert set(statuses(tmp_path).values()) <= {"done", "interrupted"}
    assert run([toy], options(slots=4)) == 0
    assert all((steps(tmp_path, seed), ends(tmp_path, seed)) == (list(range(6)), ["done"]) for seed in range(4))


def test_a_forced_run_that_is_cut_goes_on_without_force(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([sweep(tmp_path, *(job(seed, steps=6) for seed in range(4)))], options()) == 0
    before = created(tmp_path)
    slow = sweep(tmp_path, *(job(seed, steps=6, pause_s=0.2) for seed in range(4)))
    assert run([slow], options(slots=1, deadline_s=2.0, force=True, quiet=False)) == 130
    assert "Run it again without --force to go on" in capfd.readouterr().out
    forced = created(tmp_path)
    assert 0 < len(forced) < 4 and not forced.items() & before.items()
    assert run([slow], options(slots=4)) == 0
    assert forced.items() <= created(tmp_path).items() and len(created(tmp_path)) == 4


def created(folder: Path) -> dict[str, float]:
    return {one.trial_id: one.header["created"] for one in map(records.read, folder.glob("*.jsonl"))}


def test_records_of_other_data_are_kept_until_their_turn(tmp_path: Path) -> None:
    jobs = [job(seed, steps=6, pause_s=0.2) for seed in range(3)]
    run([sweep(tmp_path, *jobs)], options(slots=3))
    before = created(tmp_path)
    changed = sweep(tmp_path, *jobs, fingerprints={f"{seed:012x}": "f2" for seed in range(3)})
    assert run([changed], options(slots=1, deadline_s=0.6)) == 130
    assert len(created(tmp_path).items() & before.items()) == 2


@pytest.mark.parametrize(("asked", "seen"), [({}, ""), ({"gpus_per_trial": 1}, "7"), ({"gpus_per_trial": 0.5}, "7")])
def test_a_trial_sees_the_gpus_that_it_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, float], seen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert run([sweep(tmp_path, job(1), **asked)], options()) == 0
    [record] = map(records.read, tmp_path.glob("*.jsonl"))
    assert record.header["gpus"] == seen


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.25, [0, 0, 0, 0, 1, 1, 1, 1]),
        (0.3, [0, 0, 0, 1, 1, 1]),
        (0.4, [0, 0, 1, 1]),
        (0.6, [0, 1]),
        (1, [0, 1]),
        (2, ["0,1"]),
    ],
)
def test_no_gpu_holds_more_than_one_of_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, shown: list[object]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    count = machine.slots(sweep(tmp_path, job(1), gpus_per_trial=share, cpus_per_trial=1e-3), None)
    told = [machine.gpu_of(slot, share)["CUDA_VISIBLE_DEVICES"] for slot in range(count)]
    assert told == list(map(str, shown))


def test_a_timing_sees_what_its_driver_sees(tmp_path: Path) -> None:
    [task] = due(sweep(tmp_path, job(1), exclusive=True), options()).tasks
    assert task["environment"] == {}


def test_a_scratch_folder_goes_with_its_holder_and_a_killed_ones_with_the_next(tmp_path: Path) -> None:
    hold = (
        f"import os, signal; from pathlib import Path; from harness.launch import lock\n"
        f"with lock.scratch(Path({str(tmp_path)!r})) as folder: os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", hold], cwd=ROOT, check=False)
    foreign = tmp_path / f"{lock.SCRATCH}of-someone-else"
    foreign.mkdir()
    [left] = set(tmp_path.iterdir()) - {foreign}
    with lock.scratch(tmp_path) as one:
        assert not left.exists()
        with lock.scratch(tmp_path) as other:
            assert one.exists() and other.exists()
    assert list(tmp_path.iterdir()) == [foreign]


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_the_sweep_cleanly_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    driver = drive(tmp_path, "local", 4, 0.5)
    assert until(lambda: begun(tmp_path))
    signal_group(driver, number)
    said, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "The same command goes on" in said and "Traceback" not in said
    assert set(statuses(tmp_path).values()) == {"interrupted"}
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.fault
def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    driver = drive(tmp_path, "local", 2, 30.0)
    assert until(lambda: list(tmp_path.glob("*.partial")))
    signal_group(driver, signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    signal_group(driver, signal.SIGINT)
    driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert time.monotonic() - began < 15.0, "the toys pause for 30 s, the grace is 60 s"


@pytest.mark.fault
def test_a_killed_driver_loses_and_repeats_nothing(tmp_path: Path) -> None:
    driver = drive(tmp_path, "local", 4, 0.2)
    assert until(lambda: ends_so_far(tmp_path) >= 1 and begun(tmp_path))
    driver.kill()
    driver.communicate()
    again = drive(tmp_path, "local", 4, 0.05)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert all((steps(tmp_path, seed), ends(tmp_path, seed)) == (list(range(6)), ["done"]) for seed in range(4))


def ends_so_far(folder: Path) -> int:
    return len(list(folder.glob("*.jsonl")))


def test_a_terminal_gets_a_live_table_and_a_file_gets_lines(tmp_path: Path) -> None:
    from harness.launch.progress import Progress

    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        progress = Progress(terminal)
        progress.begin("toy", tmp_path, {"a": "basis legs, seed 0"}, 0)
        progress.started("a")
        progress.tick()
        shown = ""
        while "basis legs, seed 0" not in shown and select.select([leader], [], [], 10.0)[0]:
            shown += os.read(leader, 65536).decode()
        progress.end()
    os.close(leader)
    assert "basis legs, seed 0" in shown and "0/1 ended, 1 running" in shown


@pytest.mark.long
def test_a_trivial_trial_costs_less_than_a_third_of_a_second(tmp_path: Path) -> None:
    run([sweep(tmp_path / "warm", job(1))], options())
    began = time.monotonic()
    assert run([sweep(tmp_path / "toy", *(job(seed, steps=1) for seed in range(200)))], options()) == 0
    assert (time.monotonic() - began) / 200 < 0.3
