"""Faults of the driver and of the workers, through the command line: what each leaves, the next run completes."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable

import psutil
import pytest
from launch_study import Make
from launch_toy import signal_group
from survival import end, trial_runs, wait

from harness import records

pytestmark = pytest.mark.fault
EXECUTORS = ["local", "ray"]
FORK_SERVER = r"from multiprocessing\.forkserver import main"
"""The children that it forks have its command line; it comes before them."""


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=pytest.mark.long)])
def test_a_driver_killed_in_mid_sweep_loses_and_repeats_nothing(executor: str, study: Make) -> None:
    one = study(executor)
    driver = one.begun()
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    found = one.completed()
    assert any(row["row"] == "attempt" and row["resumed_step"] for record in found.values() for row in record.rows)
    before = {path: path.read_bytes() for path in one.folder.glob("*.jsonl")}
    runs = trial_runs("study", one.uri)
    one.run()
    assert {path: path.read_bytes() for path in one.folder.glob("*.jsonl")} == before
    assert trial_runs("study", one.uri) == runs


def to_the_group(driver: subprocess.Popen[str], number: int) -> None:
    """As a terminal does with Ctrl-C, and SLURM with the processes of a step."""
    signal_group(driver, number)


def to_the_driver(driver: subprocess.Popen[str], number: int) -> None:
    """As `kill` does."""
    os.kill(driver.pid, number)


def to_everything(driver: subprocess.Popen[str], number: int) -> None:
    """As SLURM does where it holds a job in a control group."""
    for process in (*below(driver), psutil.Process(driver.pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def below(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that a driver has started and that still runs, each after what it was started by."""
    every = psutil.Process(driver.pid).children(recursive=True)
    return [process for process in every if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


WAYS = [
    *itertools.product(
        ["local"], [to_the_group, to_the_driver, to_everything], [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    ),
    # Under Ray, which takes longer to start, those that differ by what else hears them.
    ("ray", to_the_group, signal.SIGINT),
    ("ray", to_the_group, signal.SIGTERM),
    ("ray", to_everything, signal.SIGTERM),
    ("ray", to_the_driver, signal.SIGUSR1),
    ("ray", to_everything, signal.SIGUSR1),
]


@pytest.mark.long
@pytest.mark.parametrize(("executor", "send", "number"), WAYS)
def test_one_signal_ends_a_run_cleanly_and_nothing_is_done_twice(
    executor: str, send: Callable[[subprocess.Popen[str], int], None], number: signal.Signals, study: Make
) -> None:
    one = study(executor)
    driver = one.begun()
    send(driver, number)
    code, said = end(driver)
    assert code == 130 and number.name in said and "The same command goes on where it stopped" in said
    assert set(one.statuses()) == {"interrupted"} and not list(one.folder.glob("*.partial"))
    stopped = {record.trial_id: record for record in map(records.read, one.folder.glob("*.jsonl"))}
    found = one.completed()
    for trial_id, record in stopped.items():
        assert record.end is not None and "its checkpoint is at step" in record.end["reason"]
        [again] = [row for row in found[trial_id].rows if row["row"] == "attempt"]
        assert f"at step {again['resumed_step']}." in record.end["reason"], "every step that was done is kept"


@pytest.mark.long
@pytest.mark.parametrize("executor", EXECUTORS)
def test_ctrl_c_twice_ends_a_run_at_once_though_a_trial_does_not_listen(executor: str, study: Make) -> None:
    one = study(executor, "hangs")
    driver = one.start()
    wait(lambda: list((one.cwd / "faults").iterdir()), driver)
    signal_group(driver, signal.SIGINT)
    time.sleep(1.0)
    assert driver.poll() is None, "the grace of a trial that hangs is a minute"
    began = time.monotonic()
    signal_group(driver, signal.SIGINT)
    code, _ = end(driver)
    # The driver looks 5 times a second; Ray's own end takes seconds on a busy machine. The grace would be 60 s.
    assert code == 130 and time.monotonic() - began < 25.0
    one.completed()


@pytest.mark.long
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_second_driver_of_an_ablation_says_whose_it_is_and_stops(executor: str, study: Make) -> None:
    one = study(executor)
    driver = one.begun()
    for more in ((), ("--shard", "1/2")):
        code, said = end(one.start(*more))
        assert code == 3 and f"is being run by process {driver.pid} on" in said
    one.mend()
    code, said = end(driver)
    assert code == 0, said
    one.check()


@pytest.mark.long
@pytest.mark.parametrize(
    ("executor", "title"), [("local", FORK_SERVER), ("ray", FORK_SERVER), ("ray", r"ray::ResourceTrainable")]
)
def test_a_worker_killed_in_mid_sweep_costs_no_trial(executor: str, title: str, study: Make) -> None:
    one = study(executor)
    driver = one.begun()
    # Whichever worker is killed, it has a trial that is begun.
    wait(lambda: sum(count > 0 for count in one.checkpoints()) == 2, driver)
    next(process for process in below(driver) if re.search(title, " ".join(process.cmdline()))).kill()
    one.mend()
    code, said = end(driver)
    assert code in (0, 1), said
    found = one.completed()
    assert any(row["row"] == "attempt" for record in found.values() for row in record.rows)


@pytest.mark.long
@pytest.mark.parametrize("title", [r"/raylet ", r"ray::DashboardAgent"])
def test_a_ray_that_dies_ends_the_run_in_a_sentence(title: str, study: Make) -> None:
    one = study("ray")
    driver = one.begun()
    next(process for process in below(driver) if re.search(title, " ".join(process.cmdline()))).kill()
    code, said = end(driver)
    assert code == 3 and "Ray's raylet on this machine has died" in " ".join(said.split())
    assert set(one.statuses()) == {"interrupted"}
    one.completed()


@pytest.mark.long
def test_a_stale_address_file_neither_hinders_a_run_here_nor_passes_for_a_cluster(
    study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = study("ray")
    file = one.cwd / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    file.write_text("127.0.0.1:9")
    monkeypatch.setenv("RAY_TMPDIR", str(one.cwd))
    code, said = end(one.start("--address", "auto"))
    assert code == 3 and f"'{file}' names" in " ".join(said.split()) and not one.statuses()
    one.completed()
