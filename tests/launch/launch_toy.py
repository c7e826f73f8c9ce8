"""Toy sweeps for the launch tests. As a script, it drives one: `launch_toy.py FOLDER EXECUTOR TRIALS PAUSE_S`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def job(seed: int, basis: str = "legs", **spec: Any) -> dict[str, Any]:
    return {
        "spec": {"kind": "train", "seed": seed, **spec},
        "trial_id": f"{seed:012x}",
        "ablation": {"name": "toy", "arm": {"basis": basis}},
    }


def described(one: dict[str, Any]) -> dict[str, Any]:
    """A job with what MLflow's mirror wants to know of any trial."""
    one["spec"] |= {"basis": {"name": "legs"}, "dt": {"name": "log_uniform", "min": 0.1, "max": 0.1}}
    return one


def options(**given: Any) -> Any:
    from harness.launch.options import Options

    return Options(**{"executor": "local", "runner": "runners:run", "path": (str(HERE),), "quiet": True, **given})


def sweep(folder: Path, *jobs: dict[str, Any], **given: Any) -> Any:
    from harness.launch.options import Sweep

    return Sweep("toy", folder, jobs, **given)


SPAWNED: dict[subprocess.Popen[str], str] = {}
"""The drivers of the test that runs, each with its mark; what is left of them is killed after it."""
MARK = "HARNESS_TEST_RUN"


def spawn(command: list[str], cwd: Path, **given: Any) -> subprocess.Popen[str]:
    """A driver in a process group of its own, as a terminal or SLURM starts it, marked by a variable."""
    mark = uuid.uuid4().hex
    driver = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), MARK: mark},
        start_new_session=True,
        **given,
    )
    SPAWNED[driver] = mark
    return driver


def drive(folder: Path, executor: str, trials: int, pause_s: float) -> subprocess.Popen[str]:
    return spawn([sys.executable, __file__, str(folder), executor, str(trials), str(pause_s)], ROOT)


def left(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """What runs of a driver and of all that it has started, orphans included.

    Ray's processes stay in its session, though their titles have overwritten their variables; the trials, which have
    sessions of their own, inherit the mark.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if process.status() != psutil.STATUS_ZOMBIE and (
                os.getsid(process.pid) == driver.pid or process.environ().get(MARK) == SPAWNED[driver]
            ):
                found.append(process)
    return found


def until(true: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether `true()` came true in time; long enough for a crowded machine, and over as soon as it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def rows(folder: Path, seed: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{seed:012x}.jsonl").read_text().splitlines()]


def steps(folder: Path, seed: int) -> list[int]:
    return [row["step"] for row in rows(folder, seed) if row["row"] == "metric"]


def ends(folder: Path, seed: int) -> list[str]:
    return [row["status"] for row in rows(folder, seed) if row["row"] == "end"]


def signal_group(driver: subprocess.Popen[str], number: int) -> None:
    """What a terminal does with Ctrl-C: the signal goes to the driver and to its whole group."""
    os.killpg(driver.pid, number)


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from harness.launch.sweep import run

    folder, executor, trials, pause_s = sys.argv[1:]
    jobs = [job(seed, steps=6, pause_s=float(pause_s)) for seed in range(int(trials))]
    chosen = options(executor=executor, quiet=False, slots=2)
    return int(run([sweep(Path(folder), *jobs)], chosen))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
