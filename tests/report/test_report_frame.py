"""Records as data frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_builder import LISTOPS, sweep, throughput, trial

import harness
from harness.errors import UsageError
from harness.report.frame import load_results, trials


def test_the_package_exports_load_results() -> None:
    assert harness.load_results is load_results


def test_every_metric_row_is_one_row_of_the_frame(tmp_path: Path) -> None:
    folder = trial(tmp_path, 0.25)
    frame = load_results(folder)
    written = next(folder.glob("*.jsonl")).read_text().count('"row":"metric"')
    assert len(frame) == written


def test_identity_and_axis_labels_stand_in_every_row(tmp_path: Path) -> None:
    frame = load_results(trial(tmp_path, 0.25, arm={"basis": "legt", "dt": "0.008"}, seed=4))
    about = frame[
        ["ablation", "kind", "status", "seed", "task", "basis", "dt", "structure", "backend"]
    ].drop_duplicates()
    assert about.values.tolist() == [["study", "train", "done", 4, "delay", "legt", "0.008", "dplr", "krylov"]]


def test_a_folder_its_parent_and_a_list_give_the_same_rows(tmp_path: Path) -> None:
    folder = trial(tmp_path, 0.25)
    one, parent, many = (load_results(path) for path in (folder, tmp_path, [folder]))
    assert one.equals(parent)
    assert one.equals(many)


def test_training_and_timing_share_a_frame(tmp_path: Path) -> None:
    trial(tmp_path, 0.25)
    throughput(tmp_path, {"reference": [1.0]})
    assert set(load_results(tmp_path)["kind"]) == {"train", "throughput"}


def test_trials_have_one_row_each_with_status_reason_and_test_metrics(tmp_path: Path) -> None:
    trial(tmp_path, 0.5, task=LISTOPS, seed=0)
    trial(tmp_path, 0.5, task=LISTOPS, seed=1, status="diverged", reason="nan at step 3")
    frame = trials(tmp_path).set_index("seed")
    assert frame["status"].to_dict() == {0: "done", 1: "diverged"}
    assert frame.loc[1, "reason"] == "nan at step 3"
    assert frame.loc[0, "test_accuracy"] == 0.5
    assert frame.loc[0, "seconds"] == 12.5


def test_a_partial_record_counts_as_interrupted(tmp_path: Path) -> None:
    folder = sweep(tmp_path, lambda arm, seed: 0.1, seeds=1)
    done = sorted(folder.glob("*.jsonl"))[0]
    *rows, _ = done.read_text().splitlines(keepends=True)
    done.with_name(done.name + ".partial").write_text("".join(rows))
    done.unlink()
    assert sorted(trials(folder)["status"].value_counts().to_dict().items()) == [("done", 5), ("interrupted", 1)]


@pytest.mark.parametrize("name", ["", "missing"])
def test_no_record_is_a_sentence_for_the_user(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"Run an ablation first"):
        load_results(tmp_path / name)
