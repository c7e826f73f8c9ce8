"""A search through the command line: question file to records, studies and report, a killed driver included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import harness as package
from harness.records import Record, read

ROOT = Path(__file__).resolve().parent.parent
STUDY = """
question = "Which?"
expect = "LegT."
[fixed]
task = {name = "delay", length = 32, lag = 8, evaluation_examples = 16}
dt = {min = 0.25, max = 0.25}
model = {d_model = 4, d_state = 8, n_layers = 1}
training = {steps = 20, batch_size = 4, evaluations = 4}
[compare]
basis = ["legs", "legt"]
primary = "legt - legs"
[tune]
method = "tpe"
trials = 2
lr_ssm = {low = 1e-4, high = 1e-2, log = true}
"""
LONGER = STUDY.replace("steps = 20", "steps = 200").replace("trials = 2", "trials = 5")


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


def records(cwd: Path) -> list[Record]:
    return [read(path) for path in sorted((cwd / "results" / "study").glob("*.jsonl"))]


def tune(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = record.header["ablation"]["tune"]
    return found


def basis(record: Record) -> str:
    return str(record.header["ablation"]["arm"]["basis"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("search")
    (cwd / "study.toml").write_text(STUDY)
    harness(cwd, "run", "study.toml", "--executor", "local", "--no-mlflow")
    return cwd


def test_two_arms_are_tuned_and_confirmed(finished: Path) -> None:
    assert {record.status for record in records(finished)} == {"done"}
    stages = sorted((tune(one)["stage"], basis(one)) for one in records(finished))
    tuned = [("tuning", "legs")] * 2 + [("tuning", "legt")] * 2
    assert stages == [("confirmation", "legs"), ("confirmation", "legt"), *tuned]


def test_status_counts_the_stages_apart(finished: Path) -> None:
    [line] = harness(finished, "status", "study", "--json").splitlines()
    assert json.loads(line) == {
        "ablation": "study",
        "waiting": 0,
        "done": 6,
        "tuning": {"done": 4},
        "confirmation": {"done": 2},
    }
    said = harness(finished, "status", "study").splitlines()
    assert said == ["study, tuning: 4 done", "study, confirmation: 2 done"]


def test_plan_knows_what_is_done(finished: Path) -> None:
    assert "2 x 2 + 2 x 1 = 6 trials, 0 to run" in harness(finished, "plan", "study.toml")


def test_the_report_states_the_budget_and_takes_scores_from_confirmation_alone(finished: Path) -> None:
    harness(finished, "report", "study", "--out", "out")
    said = (finished / "out" / "report.md").read_text()
    assert "Budget: 2 configurations for each arm" in said and "2 of 2 planned trials done" in said
    table = package.load_results(finished / "results" / "study")
    final = table[(table["split"] == "test") & (table["name"] == "rmse") & (table["stage"] == "confirmation")]
    scores = (finished / "out" / "tables" / "study-delay-scores.csv").read_text()
    assert all(f"{value:.6g}" in scores or str(value) in scores for value in final["value"])


def test_one_trial_of_a_search_runs_alone(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    assert "done" in harness(tmp_path, "trial", "study.toml")
    [record] = records(tmp_path)
    assert (tune(record)["stage"], tune(record)["index"]) == ("tuning", 0)
    assert record.trial_id in {one.trial_id for one in records(finished)}


@pytest.mark.long
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_driver_killed_in_mid_search_ends_with_the_same_trials(executor: str, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for cwd in (whole, cut):
        cwd.mkdir()
        (cwd / "study.toml").write_text(LONGER)
    harness(whole, "run", "study.toml", "--executor", "local", "--no-mlflow")
    folder, command = cut / "results" / "study", ("run", "study.toml", "--executor", executor)
    driver = start(cut, *command)
    end = time.monotonic() + 120
    while len(list(folder.glob("*.jsonl"))) < 4 or not list(folder.glob("*.partial")):
        assert time.monotonic() < end and driver.poll() is None, "it did not come so far"
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert len(list(folder.glob("*.jsonl"))) < 12
    harness(cut, *command)
    found = {record.trial_id: tune(record) for record in records(cut)}
    assert found == {record.trial_id: tune(record) for record in records(whole)}
    assert len(found) == 12 and not list(folder.glob("*.partial"))
    assert {record.status for record in records(cut)} == {"done"}
