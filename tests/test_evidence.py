"""The committed evidence: reports are what the records say, and the real-data study trains above chance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ablation
from harness.plan import plan
from harness.records import read
from harness.report.build import report

ROOT = Path(__file__).resolve().parent.parent
STUDIES = sorted(
    path.parent.name for path in (ROOT / "reports").glob("*/report.md") if "quickstart" not in path.parts[-2]
)


def test_there_is_evidence() -> None:
    assert {"lra", "lra-image-small", "delay-small"} <= set(STUDIES)


@pytest.mark.parametrize("study", STUDIES)
def test_a_committed_report_is_what_its_records_say(study: str, tmp_path: Path) -> None:
    report([ROOT / "results" / study], tmp_path)
    assert (tmp_path / "report.md").read_text() == (ROOT / "reports" / study / "report.md").read_text()


@pytest.mark.parametrize("study", STUDIES)
def test_committed_records_are_done_and_come_from_a_clean_commit(study: str) -> None:
    records = [read(path) for path in (ROOT / "results" / study).glob("*.jsonl")]
    assert {record.status for record in records} == {"done"}
    assert not any(record.header["git"]["dirty"] for record in records)


@pytest.mark.parametrize("study", STUDIES)
def test_a_committed_study_is_what_its_file_plans(study: str) -> None:
    planned = {trial.trial_id for trial in plan(ablation.read(ROOT / "ablations" / f"{study}.toml")).trials}
    assert planned == {path.stem for path in (ROOT / "results" / study).glob("*.jsonl")}


@pytest.mark.long
def test_the_three_bases_learn_real_images_far_above_chance(data_root: Path, tmp_path: Path) -> None:
    command = [
        "run",
        str(ROOT / "ablations" / "lra-image-small.toml"),
        "--only",
        "seed=0",
        "--data-root",
        str(data_root),
    ]
    subprocess.run(
        [sys.executable, "-m", "harness", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    records = [read(path) for path in (tmp_path / "results" / "lra-image-small").glob("*.jsonl")]
    scores = [
        row["value"] for one in records for row in one.metrics() if (row["split"], row["name"]) == ("test", "accuracy")
    ]
    # Chance is .1; its binomial standard error on the 2,000 test images is .0067, so .2 is fifteen of them away.
    assert len(scores) == 3 and min(scores) > 0.2
