"""The Ray Tune executor keeps what the local one keeps. Ray's start dominates, so there are few tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from launch_toy import HERE, ROOT, drive, ends, job, left, options, rows, signal_group, spawn, steps, sweep, until
from survival import survived
from test_launch_sweep import begun, statuses

from harness import records
from harness.launch.sweep import run


def test_the_actor_needs_no_torch() -> None:
    code = "import sys, harness.launch.tune; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_faults_under_ray_are_records_and_the_terminal_stays_clean(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    jobs = [job(1), job(2, fault="raises"), job(3, fault="segfault"), job(4, fault="diverges"), job(5, fault="prints")]
    jobs += [job(7, "hung", fault="sleeps", at=0)]
    toy = sweep(tmp_path, *jobs, max_attempts=1, arms=[({"basis": "hung"}, {"timeout_s": 2.0})])
    assert run([toy], options(executor="ray", quiet=False)) == 1
    ended = {1: "done", 2: "error", 3: "error", 4: "diverged", 5: "done", 7: "timeout"}
    assert statuses(tmp_path) == ended
    assert {one.header.get("gpus") for one in map(records.read, tmp_path.glob("*.jsonl"))} == {""}
    assert (tmp_path / "logs" / f"{5:012x}.log").read_text() == "--- attempt 1 ---\na library's chatter\n"
    said = capfd.readouterr()
    assert said.err == "" and "ray" not in said.out.lower().replace(str(tmp_path).lower(), "")
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [f"{seed:012x}" for seed in (2, 3)]


def test_a_supervisor_killed_under_ray_costs_no_more_than_its_last_second(tmp_path: Path) -> None:
    lost = job(6, fault="loses_its_supervisor", at=3, once=True, steps=5, pause_s=0.7)
    assert run([sweep(tmp_path, lost)], options(executor="ray")) == 0
    [again] = [row for row in rows(tmp_path, 6) if row["row"] == "attempt"]
    assert again["resumed_step"] >= 1 and again["history"][0]["status"] == "interrupted"
    assert "its supervisor on" in again["history"][0]["reason"]
    assert (steps(tmp_path, 6), ends(tmp_path, 6)) == ([0, 1, 2, 3, 4], ["done"])


def test_a_driver_killed_under_ray_then_stopped_then_run_again_loses_nothing(tmp_path: Path) -> None:
    driver = drive(tmp_path, "ray", 4, 0.4)
    assert until(lambda: begun(tmp_path), seconds=120)
    driver.kill()
    driver.communicate()
    done = finished(tmp_path)
    driver = drive(tmp_path, "ray", 4, 0.4)
    mine = f"process {driver.pid} on"
    assert until(lambda: (tmp_path / ".lock").read_text().startswith(mine) and finished(tmp_path) > done, seconds=120)
    signal_group(driver, signal.SIGINT)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode in (0, 130), said
    assert set(statuses(tmp_path).values()) <= {"done", "interrupted"}
    driver = drive(tmp_path, "local", 4, 0.01)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert all((steps(tmp_path, seed), ends(tmp_path, seed)) == (list(range(6)), ["done"]) for seed in range(4))


def finished(folder: Path) -> int:
    return list(statuses(folder).values()).count("done")


@pytest.mark.long
@pytest.mark.fault
@pytest.mark.parametrize("delay_s", ["0.05", "0.1", "0.2"])
def test_garbage_of_rays_does_not_exit_the_driver_as_it_leaves(delay_s: str) -> None:
    """Freed by another thread in the middle of `ray.shutdown`, it would: code 1, not a word, and no summary."""
    done = subprocess.run(
        [sys.executable, HERE / "forgotten.py", delay_s],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr


@pytest.mark.long
@pytest.mark.fault
def test_rays_memory_monitor_costs_no_trial_and_not_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, uri = tmp_path / "toy", f"sqlite:///{tmp_path / 'mlflow.db'}"
    memory = psutil.virtual_memory()
    threshold = (memory.total - memory.available + (4 << 30)) / memory.total
    # The monitor kills the worker that has begun its work last, whoever uses the memory.
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]\n"
        f"from pathlib import Path; from launch_toy import described, job, options, sweep\n"
        f"from harness.launch.sweep import run; from harness.track import Mirror\n"
        f"jobs = [job(0, steps=30, pause_s=0.5), job(1, fault='hogs', once=True, steps=4)]\n"
        f"folder = Path({str(folder)!r})\n"
        f"chosen = options(executor='ray', slots=2, mirror=Mirror([folder], {uri!r}))\n"
        f"sys.exit(run([sweep(folder, *map(described, jobs), max_attempts=2)], chosen))"
    )
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "50")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{threshold:.4f}")
    driver = spawn([sys.executable, "-c", program], ROOT)
    said, _ = driver.communicate(timeout=180)
    assert driver.returncode == 0, said
    survived(folder, uri, [f"{seed:012x}" for seed in (0, 1)])
    attempts = [row for seed in (0, 1) for row in rows(folder, seed) if row["row"] == "attempt"]
    past = [one for row in attempts for one in row["history"]]
    assert {one["status"] for one in past if "Ray's memory monitor ended it" in one["reason"]} == {"out_of_memory"}
    assert not left(driver)
