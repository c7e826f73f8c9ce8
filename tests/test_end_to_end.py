"""The main job through the command line: question file to records, MLflow and report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness as package

ROOT = Path(__file__).resolve().parent.parent
STUDY = """
question = "Which?"
expect = "LegT."
repeats = 2
[fixed]
task = {name = "delay", length = 64, lag = 16, evaluation_examples = 32}
dt = {min = 0.125, max = 0.125}
model = {d_model = 4, d_state = 8, n_layers = 1}
training = {steps = 400, batch_size = 16, evaluations = 40}
[compare]
basis = ["legs", "legt", "fout"]
primary = "legt - legs"
"""


def start(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def harness(cwd: Path, *arguments: str) -> str:
    process = start(cwd, *arguments)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished smoke run of three trials."""
    cwd = tmp_path_factory.mktemp("finished")
    (cwd / "study.toml").write_text(STUDY)
    harness(cwd, "run", "study.toml", "--smoke", "--executor", "local", "--no-mlflow")
    return cwd


def test_a_smoke_run_ends_every_cell_apart_from_the_study(finished: Path) -> None:
    assert len(list((finished / "results" / "study-smoke").glob("*.jsonl"))) == 3
    assert not (finished / "results" / "study").exists()


def test_status_counts_and_plan_knows_what_is_done(finished: Path) -> None:
    [line] = harness(finished, "status", "study-smoke", "--json").splitlines()
    assert json.loads(line) == {"ablation": "study-smoke", "waiting": 0, "done": 3}
    assert "3 trials, 0 to run" in harness(finished, "plan", "study.toml", "--smoke")


def test_the_report_is_written_from_the_records(finished: Path) -> None:
    harness(finished, "report", "study-smoke", "--out", "out")
    assert "Prediction" in (finished / "out" / "report.html").read_text()


def test_results_load_as_a_table(finished: Path) -> None:
    table = package.load_results(finished / "results" / "study-smoke")
    assert set(table["basis"]) == {"legs", "legt", "fout"}


def test_push_and_pull_give_back_the_same_bytes(finished: Path) -> None:
    harness(finished, "push", "study-smoke")
    harness(finished, "pull", "study-smoke", "--results", "copy", "--tracking-uri", "sqlite:///results/mlflow.db")
    for path in (finished / "results" / "study-smoke").glob("*.jsonl"):
        assert (finished / "copy" / "study-smoke" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        (["status", "nothing"], 2, "no records of 'nothing'"),
        (["run", "study.toml", "--shard", "3/2"], 2, "--shard 3/2"),
        (["run", "study.toml", "--deadline", "soon"], 2, "'soon' is no duration"),
        (["run", "study.toml", "--only", "basis=legz"], 2, "Unknown basis in --only 'legz'"),
        (["run", "study.toml", "--set", "training.stepz=3"], 2, "no parameter 'stepz'"),
        (["run", "study.toml", "--set", 'task="image"'], 3, "cifar10_gray.npz"),
        (["run", "study.toml", "--set", "resources.gpus_per_trial=2", "--executor", "local"], 3, "GPU"),
        (["plan", "study.toml", "--set", "resources.gpus_per_trial=1.5"], 2, "is 1.5: a trial takes a share of one"),
        (["retry", "study.toml", "--status", "lost"], 2, "Unknown status 'lost'"),
        (["trial", "study.toml", "ffff"], 2, "plans no trial 'ffff'"),
        (["report", "nothing"], 2, "no records of 'nothing'"),
        (["run", "study.toml", "--tracking-uri", "nonsense://x"], 2, "nonsense"),
        (["pull", "study", "--tracking-uri", "nonsense://x"], 2, "nonsense"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_exit_code(
    command: list[str], code: int, sentence: str, finished: Path
) -> None:
    process = start(finished, *command)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", [["--help"], ["list"], ["plan", "study.toml"]])
def test_quick_commands_take_under_a_second_of_processor_time(command: list[str], finished: Path) -> None:
    script = (
        "import resource, sys; from harness.cli import app\n"
        f"try: app({command!r})\n"
        "except SystemExit: pass\n"
        "used = resource.getrusage(resource.RUSAGE_SELF); print('SECONDS', used.ru_utime + used.ru_stime)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=finished,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(ran.stdout.rpartition("SECONDS")[2]) < 1
