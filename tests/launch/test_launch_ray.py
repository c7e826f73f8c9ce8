"""The Ray Tune executor keeps what the local one keeps. Ray's start dominates, so there are few tests."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launch_toy import ROOT, drive, ends, job, options, signal_group, steps, sweep, until
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
    jobs = [job(1), job(2, fault="raises"), job(3, fault="segfault"), job(4, fault="diverges"), job(5)]
    toy = sweep(tmp_path, *jobs, max_attempts=1)
    assert run([toy], options(executor="ray", quiet=False)) == 1
    assert statuses(tmp_path) == {1: "done", 2: "error", 3: "error", 4: "diverged", 5: "done"}
    assert {one.header.get("gpus") for one in map(records.read, tmp_path.glob("*.jsonl"))} == {""}
    said = capfd.readouterr()
    assert said.err == "" and "ray" not in said.out.lower().replace(str(tmp_path).lower(), "")


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
