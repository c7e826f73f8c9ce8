"""Shards that ran apart: their results read as one, and one record for each trial."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import records
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


@pytest.mark.long
def test_status_and_report_of_shards_are_the_same_in_one_folder_and_in_several(
    shards: list[Path], tmp_path: Path
) -> None:
    for root in shards:
        shutil.copytree(root, tmp_path / "merged", dirs_exist_ok=True)
    ways = {"copied": [tmp_path / "merged"], "apart": shards}
    for way, roots in ways.items():
        named = [word for root in roots for word in ("--results", root)]
        [line] = harness("status", "mine", "--json", *named).splitlines()
        assert json.loads(line) == {"ablation": "mine", "waiting": 0, "done": 4}
        harness("report", "mine", *named, "--out", tmp_path / way)
    pages = [(tmp_path / way / "report.md").read_text() for way in ways]
    assert pages[0] == pages[1] and "Verdict" in pages[0]


@pytest.mark.long
def test_a_shard_alone_says_what_the_others_still_owe(shards: list[Path]) -> None:
    [line] = harness("status", "--json", "--results", shards[0]).splitlines()
    assert json.loads(line) == {"ablation": "mine", "waiting": 2, "done": 2}


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
