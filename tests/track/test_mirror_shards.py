"""Several drivers share one folder (`--shard`): each ships its own trials, and there is one parent for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from track_records import Reader, checkpoint, done, end, header, metric, trial_id

from harness import records
from harness.track import Mirror, push
from harness.track.parents import Parents
from harness.track.shipping import Run


def until(claim: Callable[[], bool], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < limit, "the mirror did not get there"
        time.sleep(0.05)


def shard(folder: Path, uri: str, *numbers: int) -> Mirror:
    return Mirror([folder], uri, interval_s=0.05, only={folder: [trial_id(number) for number in numbers]})


def begun(folder: Path, number: int) -> records.Writer:
    writer = records.Writer(folder, trial_id(number))
    for row in (header(number), metric(0), checkpoint(0), metric(1)):
        writer.write(row)
    return writer


def parents(uri: str) -> list[tuple[str, str]]:
    return [(run.info.status, run.data.tags["status"]) for run in Reader(uri).runs("sweep")]


def below(uri: str) -> set[str]:
    return {run.data.tags["mlflow.parentRunId"] for run in Reader(uri).runs()}


def test_a_shard_that_ends_leaves_the_running_trials_of_the_others_alone(folder: Path, uri: str) -> None:
    folder.mkdir()
    with shard(folder, uri, 1) as first, shard(folder, uri, 2) as second:
        writers = [begun(folder, number) for number in (1, 2)]
        until(lambda: Reader(uri).experiment is not None and len(Reader(uri).runs()) == 2)
        before = Reader(uri).run(2).info.run_id
        writers[0].write(end())
        first.stop()
        until(lambda: len(Reader(uri).history(2)) == 1)
        assert [(run.info.status, run.data.tags["status"]) for run in Reader(uri).runs()] == [
            ("FINISHED", "done"),
            ("RUNNING", "running"),
        ]
        assert parents(uri) == [("RUNNING", "running")]
        writers[1].write(end())
    assert [one.message() for one in (first, second)] == ["", ""]
    assert [run.info.status for run in Reader(uri).runs()] == ["FINISHED", "FINISHED"]
    assert Reader(uri).run(2).info.run_id == before
    assert parents(uri) == [("FINISHED", "2 done")]
    assert below(uri) == {run.info.run_id for run in Reader(uri).runs("sweep")}
    assert "harness.delivered" not in Reader(uri).experiment.tags


@pytest.mark.parametrize("mine", [1, 2])
def test_parents_made_at_once_are_made_one(mine: int, folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = 3 - mine
    for number in (1, 2):
        done(folder, number)
    first, second = shard(folder, uri, mine), shard(folder, uri, other, 3)
    look, looks = Parents._look, iter(["the other is faster"])

    def overtaken(self: Parents, text: str) -> Run | None:
        found = look(self, text)
        if next(looks, None):
            second.deliver()
        return found

    monkeypatch.setattr(Parents, "_look", overtaken)
    first.deliver()
    done(folder, 3)
    second.deliver()
    assert parents(uri) == [("FINISHED", "3 done")]
    assert len(Reader(uri).runs()) == 3
    assert below(uri) == {run.info.run_id for run in Reader(uri).runs("sweep")}


def test_two_parents_left_behind_are_made_one_by_a_push(
    folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        done(folder, number)
    with monkeypatch.context() as patch:
        patch.setattr(Parents, "_look", lambda self, text: None)
        for number in (1, 2):
            shard(folder, uri, number).deliver()
    assert len(parents(uri)) == 2
    push(folder, uri)
    assert parents(uri) == [("FINISHED", "2 done")]
    assert below(uri) == {run.info.run_id for run in Reader(uri).runs("sweep")}


def test_another_shards_run_made_twice_is_its_own_to_mend(folder: Path, uri: str) -> None:
    for number in (1, 2):
        done(folder, number)
    shard(folder, uri, 2).deliver()
    twin = Reader(uri).run(2)
    reader = Reader(uri)
    reader.client.create_run(reader.experiment.experiment_id, start_time=1, tags=twin.data.tags)
    shard(folder, uri, 1).deliver()
    assert len(Reader(uri).runs()) == 3
    shard(folder, uri, 2).deliver()
    assert len(Reader(uri).runs()) == 2
