"""What MLflow holds is a function of the records: no row lost, none twice, none that may be taken back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from track_records import (
    ARRAYS,
    Reader,
    again,
    attempt,
    checkpoint,
    done,
    end,
    expected,
    header,
    metric,
    trial_id,
    write,
)

from harness import records
from harness.records import STATUSES
from harness.track import Mirror, describe, push


def until(claim: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for the background thread; fail when `claim` does not come true."""
    limit = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < limit, "the mirror did not get there"
        time.sleep(0.05)


def history_of(path: Path) -> list[tuple[int, float, int]]:
    return expected(*records.read(path).metrics())


def test_each_trial_is_one_run_below_one_parent(folder: Path, uri: str) -> None:
    for number, basis in enumerate(("legs", "legt", "fout"), start=1):
        done(folder, number, basis)
    push(folder, uri)
    reader = Reader(uri)
    (parent,) = reader.runs("sweep")
    runs = reader.runs()
    assert [run.data.tags["basis"] for run in runs] == ["legs", "legt", "fout"]
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    assert (parent.info.status, parent.data.tags["status"]) == ("FINISHED", "3 done")


def test_a_history_is_the_record_with_its_own_times(folder: Path, uri: str) -> None:
    path = done(folder, 1, steps=7)
    push(folder, uri)
    assert Reader(uri).history() == history_of(path)


def test_more_rows_than_one_request_takes_all_arrive(folder: Path, uri: str) -> None:
    path = done(folder, 1, steps=2000)
    push(folder, uri)
    assert Reader(uri).history() == history_of(path)


def test_a_second_push_changes_nothing(folder: Path, uri: str) -> None:
    done(folder, 1)
    write(folder, 2, metric(0), end("error", "it broke"))
    write(folder, 3, metric(0), checkpoint(0), metric(1))
    push(folder, uri)
    before = Reader(uri).everything()
    push(folder, uri)
    assert Reader(uri).everything() == before


def test_rows_behind_the_last_checkpoint_are_not_sent(folder: Path, uri: str) -> None:
    write(folder, 1, metric(0), metric(1), checkpoint(1), metric(2), metric(3))
    push(folder, uri)
    assert [step for step, _, _ in Reader(uri).history()] == [0, 1]


def test_a_trial_without_a_checkpoint_has_a_run_and_no_metrics_yet(folder: Path, uri: str) -> None:
    write(folder, 1, metric(0), metric(1))
    push(folder, uri)
    run = Reader(uri).run()
    assert run.data.metrics == {}
    assert run.data.params["basis.name"] == "legs"


def test_a_cut_trial_is_killed_and_a_resumed_one_ends_without_gap_or_repeat(folder: Path, uri: str) -> None:
    write(folder, 1, metric(0), checkpoint(0), metric(1))
    push(folder, uri)
    first = Reader(uri).run()
    assert (first.info.status, first.data.tags["status"]) == ("KILLED", "interrupted")
    again(folder, 1, {"row": "resume", "rows": 3}, attempt(2, 0), metric(1, attempt=2), metric(2, attempt=2))
    again(folder, 1, end(attempt=2))
    push(folder, uri)
    run = Reader(uri).run()
    assert run.info.run_id == first.info.run_id
    assert (run.info.status, run.data.tags["attempt"]) == ("FINISHED", "2")
    assert Reader(uri).history() == history_of(folder / f"{trial_id(1)}.jsonl")


def test_a_retry_that_goes_back_behind_what_was_sent_replaces_the_run(folder: Path, uri: str) -> None:
    write(folder, 1, metric(0), checkpoint(0), metric(1), metric(2), end("error", "it broke"))
    push(folder, uri)
    first = Reader(uri).run().info.run_id
    again(folder, 1, {"row": "resume", "rows": 3}, attempt(2, 0), *[metric(s, attempt=2) for s in (1, 2, 3)])
    again(folder, 1, end(attempt=2))
    push(folder, uri)
    assert Reader(uri).run().info.run_id != first
    assert Reader(uri).history() == history_of(folder / f"{trial_id(1)}.jsonl")


def test_a_retry_from_a_checkpoint_at_the_very_end_keeps_its_run(folder: Path, uri: str) -> None:
    write(folder, 1, metric(0), checkpoint(0), end("interrupted"))
    push(folder, uri)
    first = Reader(uri).run().info.run_id
    again(folder, 1, {"row": "resume", "rows": 3}, attempt(2, 0), metric(1, attempt=2), end(attempt=2))
    push(folder, uri)
    assert Reader(uri).run().info.run_id == first
    assert Reader(uri).history() == history_of(folder / f"{trial_id(1)}.jsonl")


def test_a_mirror_killed_between_two_batches_goes_on_where_it_was(
    folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    path = done(folder, 1, steps=1000)
    real, sent = MlflowClient.log_batch, []

    def third_time_killed(self: MlflowClient, run_id: str, metrics: Sequence[object] = (), **rest: object) -> None:
        if len(sent) == 2 and metrics:
            raise KeyboardInterrupt
        real(self, run_id, metrics=metrics, **rest)
        sent.extend([len(metrics)] if metrics else [])

    monkeypatch.setattr("harness.track.shipping.BATCH", 300)
    monkeypatch.setattr(MlflowClient, "log_batch", third_time_killed)
    with pytest.raises(KeyboardInterrupt):
        Mirror([folder], uri).deliver()
    assert len(Reader(uri).history()) == sum(sent) < 1000
    sent.clear()
    monkeypatch.setattr("harness.track.shipping.BATCH", 1000)
    push(folder, uri)
    assert sent == [1000 - 599]  # 2 batches of 300 rows hold the header and 599 metrics
    assert Reader(uri).history() == history_of(path)
    assert Reader(uri).run().info.status == "FINISHED"


def test_a_batch_whose_answer_was_lost_is_not_stored_twice(
    folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    path = done(folder, 1, steps=50)
    real = MlflowClient.log_batch

    def lost(self: MlflowClient, run_id: str, metrics: object = (), **rest: object) -> None:
        if metrics:
            real(self, run_id, metrics=metrics)
            raise KeyboardInterrupt
        real(self, run_id, **rest)

    monkeypatch.setattr(MlflowClient, "log_batch", lost)
    with pytest.raises(KeyboardInterrupt):
        Mirror([folder], uri).deliver()
    monkeypatch.undo()
    push(folder, uri)
    assert Reader(uri).history() == history_of(path)


def test_runs_made_twice_for_a_trial_are_made_one(folder: Path, uri: str) -> None:
    path = done(folder, 1)
    push(folder, uri)
    reader = Reader(uri)
    reader.client.create_run(reader.experiment.experiment_id, tags=describe.tags(records.read(path).header))
    push(folder, uri)
    assert len(Reader(uri).runs()) == 1
    assert Reader(uri).history() == history_of(path)


def test_a_running_sweep_is_seen_while_it_runs(folder: Path, uri: str) -> None:
    folder.mkdir()
    with Mirror([folder], uri, interval_s=0.05) as mirror:
        writer = records.Writer(folder, trial_id(1))
        for row in (header(1), metric(0), checkpoint(0), metric(1)):
            writer.write(row)
        until(lambda: Reader(uri).experiment is not None and len(Reader(uri).runs()) == 1)
        until(lambda: len(Reader(uri).history()) == 1)
        assert Reader(uri).run().info.status == "RUNNING"
        assert Reader(uri).runs("sweep")[0].info.status == "RUNNING"
        writer.write(end())
    assert mirror.message() == ""
    assert [step for step, _, _ in Reader(uri).history()] == [0, 1]
    assert {run.info.status for run in Reader(uri).runs() + Reader(uri).runs("sweep")} == {"FINISHED"}


def test_a_delivered_folder_is_recognised_without_a_search(
    folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(folder, 1)
    push(folder, uri)
    monkeypatch.setattr("harness.track.runs.Runs.find", _killed)
    mirror = Mirror([folder], uri)
    mirror.deliver()
    assert mirror.undelivered() == {}


def test_every_status_has_its_run_status_reason_and_end(folder: Path, uri: str) -> None:
    for number, status in enumerate(STATUSES):
        write(folder, number, metric(0), end(status, f"because of {status}"))
    push(folder, uri)
    ended = round(end()["time"] * 1000)
    found = {run.data.tags["status"]: (run.info.status, run.data.tags["reason"]) for run in Reader(uri).runs()}
    assert found == {status: (describe.RUN_STATUS[status], f"because of {status}") for status in STATUSES}
    assert {run.info.end_time for run in Reader(uri).runs()} == {ended}


def test_params_tags_dataset_and_artifacts_are_there(folder: Path, uri: str) -> None:
    path = done(folder, 1)
    push(folder, uri)
    reader, run = Reader(uri), Reader(uri).run()
    assert run.info.run_name == "legs · dt 0.001..0.1 · seed 1"
    assert run.data.params == dict(describe.params(records.read(path).header["spec"]))
    wanted = {
        "harness.trial_id": trial_id(1),
        "basis": "legs",
        "structure": "dplr",
        "dt": "0.001..0.1",
        "backend": "krylov",
        "task": "delay",
        "seed": "1",
        "git_commit": "c" * 40,
        "status": "done",
        "attempt": "1",
        "arm": "legs · dt 0.001..0.1",
        "arm.basis": "legs",
        "arm.dt": "0.001..0.1",
        "labels": "small model",
    }
    assert wanted.items() <= run.data.tags.items()
    (dataset,) = [one.dataset for one in run.inputs.dataset_inputs]
    assert (dataset.name, dataset.digest) == ("delay", "f" * 36)
    pictures = {"plots/kernels.svg", "plots/dt.svg"}
    assert reader.artifacts(run) == {f"record/{trial_id(1)}.jsonl", "ablation.toml"} | pictures
    assert "q?" in reader.experiment.tags["mlflow.note.content"]
    assert "e." in reader.experiment.tags["mlflow.note.content"]


def test_a_value_that_is_not_finite_keeps_its_step_and_spoils_no_axis(folder: Path, uri: str) -> None:
    write(folder, 1, metric(0), metric(1, math.nan), metric(2, math.inf), end("diverged", "loss is inf"))
    push(folder, uri)
    values = {step: value for step, value, _ in Reader(uri).history()}
    assert values[0] == 1.0
    assert math.isnan(values[1]) and math.isnan(values[2])
    assert Reader(uri).run().data.tags["not_finite"] == "inf in train/loss at step 2"


def test_a_record_that_the_store_refuses_does_not_hold_up_the_others(folder: Path, uri: str) -> None:
    done(folder, 1)
    broken = metric(0) | {"time": "yesterday"}
    write(folder, 2, broken, end())
    done(folder, 3)
    mirror = Mirror([folder], uri, interval_s=0.05)
    with mirror:
        pass
    assert set(mirror.refused) == {trial_id(2)}
    assert [run.data.tags["status"] for run in Reader(uri).runs()] == ["done", "running", "done"]
    assert "3 rows of 1 trial (" in mirror.message()


def test_the_sweep_of_another_text_has_another_parent(folder: Path, uri: str) -> None:
    done(folder, 1)
    writer = records.Writer(folder, trial_id(2))
    for row in (header(2, text="expect = 'other'"), metric(0), *ARRAYS, end()):
        writer.write(row)
    push(folder, uri)
    assert len(Reader(uri).runs("sweep")) == 2


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_several_folders_are_several_experiments(folder: Path, uri: str) -> None:
    done(folder, 1)
    done(folder.parent / "other", 2)
    with Mirror([folder, folder.parent / "other"], uri) as mirror:
        pass
    assert mirror.message() == ""
    assert [len(Reader(uri, name).runs()) for name in ("delay", "other")] == [1, 1]
