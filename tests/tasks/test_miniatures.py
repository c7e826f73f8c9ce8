"""The six miniatures of Long Range Arena: planned alike alone and in one table, cut to seconds, and as they are."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from written_copies import write_aclcite

from harness import records
from harness.ablation import read
from harness.plan import plan
from harness.report.statistics import binomial_standard_error
from harness.trial import run

ROOT = Path(__file__).resolve().parents[2]
SHORT: dict[str, list[str]] = {
    "listops": ["task.min_length=5", "task.max_length=30"],
    "text": ["task.max_length=40"],
    "retrieval": ["task.max_length=40"],
    "image": [],
    "pathfinder": [],
    "pathx": ["task.train=2", "task.val=2", "task.test=2", "training.batch_size=2", "training.steps=4"],
}
"""What cuts a miniature to a second, besides `CUT`."""
CUT = ["task.train=8", "task.val=8", "task.test=8", "training.batch_size=8", "training.steps=10"]
CUT += ["training.warmup_steps=0", "training.evaluations=1", "training.eval_batch_size=4"]
MOST_S = 180.0
"""A whole file on two cores takes less."""


def file(name: str) -> Path:
    return ROOT / "ablations" / f"{name}.toml"


def metric(rows: list[records.Row], split: str, name: str) -> list[float]:
    return [row["value"] for row in rows if row["row"] == "metric" and (row["split"], row["name"]) == (split, name)]


def seconds_of_the_file(name: str, rows: list[records.Row]) -> float:
    """How long two cores take for all trials of a miniature, by one of them, had each a core to itself.

    A trial beside other work has a share of a core, and needs its seconds times that share. Every evaluation stands for
    as much work as any other, so the share of the whole is the harmonic mean of theirs.
    """
    (seconds,) = (row["seconds"] for row in rows if row["row"] == "end")
    share = statistics.harmonic_mean(metric(rows, "system", "cpu_utilization_percentage")) / 100
    return float(seconds * share * len(plan(read(file(name))).trials) / 2)


def test_a_file_s_time_is_that_of_its_trials_on_cores_of_their_own() -> None:
    system = {"row": "metric", "split": "system", "name": "cpu_utilization_percentage"}
    rows: list[records.Row] = [{**system, "value": 100.0}, {**system, "value": 50.0}, {"row": "end", "seconds": 60.0}]
    # 20 s at a whole core and 40 s at half of one; six trials, two at a time.
    assert seconds_of_the_file("mini-image", rows) == pytest.approx(40 * 6 / 2, rel=1e-12)


def test_the_arena_s_table_is_of_the_same_trials_as_the_six_miniatures() -> None:
    together = {trial.trial_id for trial in plan(read(file("lra"))).trials}
    alone = {trial.trial_id for name in SHORT for trial in plan(read(file(f"mini-{name}"))).trials}
    assert len(together) == 6 * 3 * 3 and alone <= together and len(alone) == 6 * 3 * 2


@pytest.mark.parametrize("name", SHORT)
def test_the_paper_s_size_is_planned_for_three_bases_and_three_seeds(name: str) -> None:
    found = plan(read(file(f"lra-{name}")))
    assert found.levels["basis"] == ("legs", "legt", "fout") and len(found.trials) % 9 == 0


@pytest.mark.parametrize("name", SHORT)
def test_a_miniature_cut_to_a_few_examples_learns_them(name: str, small_root: Path) -> None:
    write_aclcite(small_root)
    job = next(plan(read(file(f"mini-{name}"), [*CUT, *SHORT[name]])).jobs())
    rows: list[dict[str, Any]] = []
    assert run(job, rows.append, threads=1, data_root=small_root) == "done"
    losses = metric(rows, "train", "loss")
    # Every step sees the same few examples, so a loss that does not fall is a model that does not learn.
    assert losses[-1] < losses[0]
    assert len(metric(rows, "test", "accuracy")) == 1
    assert 0 < seconds_of_the_file(f"mini-{name}", rows) < MOST_S


def trained(name: str, data_root: Path, folder: Path) -> list[records.Row]:
    """The record's rows of the miniature's first trial, run as a user runs it; its file is in time."""
    command = ["run", str(file(f"mini-{name}")), "--only", "basis=legs", "--only", "seed=0", "--no-mlflow"]
    subprocess.run(
        [sys.executable, "-m", "harness", *command, "--data-root", str(data_root)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    (path,) = (folder / "results" / f"mini-{name}").glob("*.jsonl")
    record = records.read(path)
    assert record.status == "done" and record.end is not None
    rows = [*record.rows, record.end]
    assert seconds_of_the_file(f"mini-{name}", rows) < MOST_S
    return rows


@pytest.mark.long
@pytest.mark.parametrize(("name", "examples"), [("listops", 800), ("text", 1000), ("retrieval", 556), ("image", 1000)])
def test_a_miniature_passes_every_guess(name: str, examples: int, data_root: Path, tmp_path: Path) -> None:
    rows = trained(name, data_root, tmp_path)
    guess = max(value for one in ("chance", "majority") for value in metric(rows, "reference", one))
    (accuracy,) = metric(rows, "test", "accuracy")
    # Three standard errors of a guess on the test set: passed by chance once in 740 runs.
    assert accuracy > guess + 3 * binomial_standard_error(guess, examples)


@pytest.mark.long
@pytest.mark.parametrize("name", ["pathfinder", "pathx"])
def test_a_miniature_of_paths_comes_down_to_a_guess(name: str, data_root: Path, tmp_path: Path) -> None:
    rows = trained(name, data_root, tmp_path)
    # Paths are learnt from millions of pictures. What a few thousand teach is not to be sure: log 2 = 0.693, and a
    # model that is sure of what it does not know is above it without a bound.
    (loss,) = metric(rows, "test", "loss")
    assert loss < 0.72
