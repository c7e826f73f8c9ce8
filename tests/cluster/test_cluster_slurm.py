"""The script of a Ray cluster, run for real: two nodes on this machine, SLURM's commands by stand-ins."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from test_cluster_files import printed

from harness import records

ROOT = Path(__file__).resolve().parent.parent.parent
STUDY = """
question = "Which?"
expect = "LegT."
repeats = 2
[fixed]
task = {name = "delay", length = 32, lag = 8, evaluation_examples = 8}
dt = {min = 0.25, max = 0.25}
model = {d_model = 2, d_state = 4, n_layers = 1}
training = {steps = 2, batch_size = 4, evaluations = 1}
[compare]
basis = ["legs", "legt"]
"""
COMMANDS = {
    # Runs the command of a step here, whatever node it is for, and passes SIGTERM on as srun does.
    "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"',
    "scontrol": 'if [ "$1" = show ]; then printf "first\\nsecond\\n"; else echo "$*" >> asked; fi',
}


RAY = {
    "ray": 'echo "$*" >> started; if [ "$1" = start ]; then exec sleep 60; fi',
    # Waits for the worker, as that program of the script does.
    "python": "cat > joined; until grep -q -e --address= started; do sleep 0.05; done",
    "harness": 'echo "$RAY_AUTH_MODE ${#RAY_AUTH_TOKEN}" > token; printf "%s\\0" "$@" > heard; exit 7',
}
"""Stand-ins for Ray and the driver, where only the script is looked at."""


def slurm(folder: Path, commands: dict[str, str]) -> dict[str, str]:
    """The variables of a job on two nodes, with these commands before all others."""
    binaries = folder / "binaries"
    binaries.mkdir()
    for name, text in commands.items():
        (binaries / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (binaries / name).chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own |= {"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NODELIST": "first,second", "SLURM_JOB_NUM_NODES": "2"}
    path = f"{binaries}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return own | {"SLURM_CPUS_PER_TASK": "1", "PYTHONPATH": str(ROOT), "PATH": path}


def test_a_job_starts_a_head_and_workers_then_the_driver_and_ends_as_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(STUDY)
    variables = slurm(tmp_path, COMMANDS | RAY)
    binaries = tmp_path / "binaries"
    Path("job").write_text(printed("slurm", "mine.toml", "--nodes", "2", "--port", "6379", "--bin", binaries))
    assert subprocess.run(["bash", "job"], env=variables, timeout=60, check=False).returncode == 7
    # Head and worker start beside what the script does next, so the order of the notes is not that of the script.
    check, worker, head = sorted(Path("started").read_text().splitlines())
    address = head.partition("--node-ip-address=")[2].partition(" ")[0] + ":6379"
    assert head.startswith("start --head ") and "--block" in head and check == f"health-check --address {address}"
    assert worker.startswith(f"start --address={address} ") and "ray.nodes()" in Path("joined").read_text()
    words = Path("heard").read_text().split("\0")[:-1]
    assert words == ["run", "mine.toml", "--results", "results", "--storage", "results", "--address", address]
    assert Path("token").read_text() == "token 64\n" and not Path("asked").exists()


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_job_starts_ray_on_its_nodes_runs_the_sweep_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(STUDY)
    variables = slurm(tmp_path, COMMANDS)
    Path("job").write_text(printed("slurm", "mine.toml", "--nodes", "2", "--cpus", "1"))
    with Path("said").open("wb") as out:
        job = subprocess.Popen(["bash", "job"], env=variables, stdout=out, stderr=out, start_new_session=True)
    try:
        code, said = job.wait(200), Path("said").read_text()
        states = records.scan(Path("results", "mine")).values()
        assert (code, [state.status for state in states]) == (0, ["done"] * 4), said
        assert "Ray's worker on second" in said and not Path("asked").exists()
        assert not list(Path("results").rglob("*.pt")) and until(lambda: not left(job), seconds=30), left(job)
    finally:
        for process in left(job):
            process.kill()
        shutil.rmtree(f"/tmp/ray-{os.getpid()}", ignore_errors=True)


def left(job: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """What still runs of a job: in its session, or with its temporary folder on the command line."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(one.pid) == job.pid or f"/tmp/ray-{os.getpid()}" in " ".join(one.cmdline()):
                found.append(one)
    return found


def until(true: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.2)
    return bool(true())
