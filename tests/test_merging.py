"""Shards that ran apart: their results read as one, and one record for each trial."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from harness import load_results, records
from harness.cli import app
from harness.records import Row, Writer

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
primary = "legt - legs"
"""
RANKED = [("done", 1.0, True), ("error", 9.0, True), ("interrupted", 10.0, False)]
"""Status, when it was begun and whether the file is whole, the record that counts first."""


def harness(*arguments: str | Path) -> str:
    ran = CliRunner().invoke(app, [*map(str, arguments)])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two results folders, each of one of two shards, as on two machines without a shared disk."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "mine.toml").write_text(STUDY)
    roots = [folder / "one", folder / "other"]
    for number, root in enumerate(roots, 1):
        words = ("run", folder / "mine.toml", "--executor", "local", "--shard", f"{number}/2", "--no-mlflow")
        harness(*words, "--results", root)
        assert len(list(root.glob("mine/*.jsonl"))) == 2
    return roots


def merged(shards: list[Path], folder: Path) -> list[str]:
    for root in shards:
        shutil.copytree(root, folder, dirs_exist_ok=True)
    return ["--results", str(folder)]


def apart(shards: list[Path], folder: Path) -> list[str]:
    return [word for root in shards for word in ("--results", str(root))]


@pytest.mark.parametrize("together", [merged, apart])
def test_status_and_report_read_shards_as_one_sweep(shards: list[Path], tmp_path: Path, together: object) -> None:
    assert callable(together)
    roots = together(shards, tmp_path / "all")
    [line] = harness("status", "mine", "--json", *roots).splitlines()
    assert json.loads(line) == {"ablation": "mine", "waiting": 0, "done": 4}
    harness("report", "mine", *roots, "--out", tmp_path / "report")
    table = pd.read_csv(next((tmp_path / "report" / "tables").glob("*scores*.csv")))
    assert len(table) >= 2
    page = (tmp_path / "report" / "report.md").read_text()
    assert "cannot tell" in page or "LegT" in page or "legt" in page


def test_a_shard_alone_says_what_the_others_still_owe(shards: list[Path]) -> None:
    [line] = harness("status", "--json", "--results", shards[0]).splitlines()
    assert json.loads(line) == {"ablation": "mine", "waiting": 2, "done": 2}


def test_a_trial_that_is_in_both_folders_counts_once(shards: list[Path], tmp_path: Path) -> None:
    both = [shards[0] / "mine", shutil.copytree(shards[0] / "mine", tmp_path / "copy")]
    frame = load_results(both)
    assert len(frame) == len(load_results(shards[0] / "mine"))


def write(folder: Path, status: str, created: float, whole: bool) -> None:
    writer = Writer(folder, "a" * 12)
    header: Row = {"row": "header", "schema": 1, "trial_id": "a" * 12, "created": created}
    writer.write({**header, "spec": {}, "ablation": {"name": "mine"}})
    if whole:
        writer.write({"row": "end", "status": status, "reason": "", "seconds": 0.0, "attempt": 1})
    writer.close()


@pytest.mark.parametrize("better", range(len(RANKED)))
def test_of_two_records_a_finished_one_counts_then_a_whole_one_then_the_newest(tmp_path: Path, better: int) -> None:
    for worse in range(better, len(RANKED)):
        status, created, whole = RANKED[better]
        write(tmp_path / f"{better}{worse}" / "one", status, created, whole)
        other, later, ended = RANKED[worse] if worse > better else (status, created - 0.5, whole)
        write(tmp_path / f"{better}{worse}" / "other", other, later, ended)
        folders = [tmp_path / f"{better}{worse}" / name for name in ("one", "other")]
        for order in (folders, folders[::-1]):
            assert records.scan(*order)["a" * 12].path.parent == folders[0]
