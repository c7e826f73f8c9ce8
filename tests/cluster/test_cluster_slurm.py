"""The script of a Ray cluster, run for real: two nodes on this machine, SLURM's commands by stand-ins."""

from __future__ import annotations

import os
import subprocess
import sys
import time
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


@pytest.mark.long
def test_a_job_starts_ray_on_its_nodes_runs_the_sweep_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(STUDY)
    binaries = tmp_path / "binaries"
    binaries.mkdir()
    for name, text in COMMANDS.items():
        (binaries / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (binaries / name).chmod(0o755)
    Path("job").write_text(printed("slurm", "mine.toml", "--nodes", "2", "--cpus", "1"))
    job_id = str(os.getpid() % 20000)
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        **{"SLURM_JOB_ID": job_id, "SLURM_JOB_NODELIST": "first,second", "SLURM_JOB_NUM_NODES": "2"},
        **{"SLURM_CPUS_PER_TASK": "1", "PYTHONPATH": str(ROOT)},
        "PATH": f"{binaries}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    ran = subprocess.run(
        ["bash", "job"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout
    states = records.scan(Path("results", "mine")).values()
    assert [state.status for state in states] == ["done"] * 4, ran.stdout
    assert "Ray's worker on second" in ran.stdout and not Path("asked").exists()
    end = time.monotonic() + 30
    while (left := processes(f"/tmp/ray-{job_id}")) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == []


def processes(holding: str) -> list[list[str]]:
    """Command lines with these words in them."""
    lines = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if holding in " ".join(line)]
