"""A trial that was stopped or killed anywhere ends with the record of one that was not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trial_toys as toys

from harness import records
from harness.training import loop
from harness.trial import never, run

pytestmark = pytest.mark.fault
TIMES = {"first_step_s", "train_s", "eval_s", "sequences_per_s"}


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the trial may handle it."""


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    toys.register(monkeypatch)


class Attempt:
    """One process's worth of a trial, written by the real writer; `kill_at` counts the rows that still arrive."""

    def __init__(self, folder: Path, number: int, job: dict[str, Any] | None = None) -> None:
        self.folder, self.number, self.job = folder, number, job or toys.job()
        self.checkpoints = folder / "checkpoints"
        self.promises: list[tuple[int, list[int]]] = []

    def run(self, stop: Callable[[], bool] = never, kill_at: int | None = None) -> str:
        writer = records.Writer(self.folder, self.job["trial_id"])
        arrived = 0

        def emit(row: records.Row) -> None:
            nonlocal arrived
            if kill_at is not None and arrived == kill_at:
                raise Killed
            arrived += 1
            if row["row"] == "checkpoint":
                self.promises.append((writer.rows + 1, sorted(int(p.stem) for p in self.checkpoints.glob("*.pt"))))
            writer.write(row)

        history = [{"status": "error", "reason": "killed"}] * (self.number - 1)
        try:
            return run(
                self.job,
                emit,
                checkpoints=self.checkpoints,
                kept_rows=writer.rows,
                attempt=self.number,
                history=history,
                stop=stop,
                threads=1,
            )
        except Killed:
            return "killed"
        finally:
            writer.close()

    def record(self) -> records.Record:
        return records.read(self.folder / f"{self.job['trial_id']}.jsonl")


def history(record: records.Record) -> list[dict[str, Any]]:
    """Everything a trial measured, in order, without clocks and without what tells one attempt from another."""
    measured = [row for row in record.rows if row["row"] in ("metric", "array") and row.get("split") != "system"]
    kept = [row for row in measured if row["name"] not in TIMES]
    return [{key: value for key, value in row.items() if key not in ("time", "attempt")} for row in kept]


def after(polls: int) -> Callable[[], bool]:
    """A `stop` that turns true when it is asked for the time number `polls`, counted from 0."""
    asked = iter(range(10**6))
    return lambda: next(asked) >= polls


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> records.Record:
    with pytest.MonkeyPatch.context() as patch:
        toys.register(patch)
        attempt = Attempt(tmp_path_factory.mktemp("whole"), 1)
        assert attempt.run() == "done"
        return attempt.record()


# Polls: 3 steps, then 3 batches of validation, three times over; then the 3 batches of the test.
@pytest.mark.parametrize("polls", [0, 2, 4, 6, 7, 13, 20])
def test_a_stopped_trial_resumes_to_the_same_history_bit_for_bit(
    polls: int, whole: records.Record, tmp_path: Path
) -> None:
    assert Attempt(tmp_path, 1).run(stop=after(polls)) == "interrupted"
    second = Attempt(tmp_path, 2)
    assert second.run() == "done"
    assert history(second.record()) == history(whole)


def test_a_trial_stopped_at_every_step_still_has_the_same_history(whole: records.Record, tmp_path: Path) -> None:
    attempts = 0
    status = "interrupted"
    while status == "interrupted":
        attempts += 1
        status = Attempt(tmp_path, attempts).run(stop=after(5))
        assert attempts < 20
    assert status == "done"
    assert history(Attempt(tmp_path, 1).record()) == history(whole)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_killed_trial_resumes_to_the_same_history_bit_for_bit(
    share: float, whole: records.Record, tmp_path: Path
) -> None:
    kill_at = round(share * (len(whole.rows) + 2))
    assert Attempt(tmp_path, 1).run(kill_at=kill_at) == "killed"
    second = Attempt(tmp_path, 2)
    assert second.run() == "done"
    assert history(second.record()) == history(whole)


def test_a_checkpoint_whose_row_was_lost_is_not_resumed(whole: records.Record, tmp_path: Path) -> None:
    at = [index for index, row in enumerate(whole.rows) if row["row"] == "checkpoint"][1]
    assert Attempt(tmp_path, 1).run(kill_at=at + 2) == "killed"
    second = Attempt(tmp_path, 2)
    assert second.run() == "done"
    assert [row["resumed_step"] for row in second.record().rows if row["row"] == "attempt"] == [3]
    assert history(second.record()) == history(whole)


def test_a_checkpoint_file_stands_before_its_row_and_names_the_rows_up_to_it(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1)
    attempt.run()
    assert len(attempt.promises) == 3
    assert all(files[-1] == rows for rows, files in attempt.promises)
    assert all(len(files) <= 2 for _, files in attempt.promises)


def test_a_checkpoint_is_also_written_when_the_last_one_is_old(
    whole: records.Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_S", -1.0)
    attempt = Attempt(tmp_path, 1)
    attempt.run()
    steps = [row["step"] for row in attempt.record().rows if row["row"] == "checkpoint"]
    assert steps == list(range(10))
    assert history(attempt.record()) == history(whole)


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for index in range(0, len(content), 101):
        content[index] ^= 0x40
    path.write_bytes(content)


def test_a_corrupt_newest_checkpoint_gives_way_to_the_one_before(whole: records.Record, tmp_path: Path) -> None:
    Attempt(tmp_path, 1).run(stop=after(14))
    newest = sorted((tmp_path / "checkpoints").glob("*.pt"))[-1]
    corrupt(newest)
    second = Attempt(tmp_path, 2)
    assert second.run() == "done"
    row = next(row for row in second.record().rows if row["row"] == "attempt")
    assert row["resumed_step"] == 6 and newest.name in row["note"]
    assert history(second.record()) == history(whole)


def test_with_every_checkpoint_corrupt_the_trial_starts_afresh_and_says_so(
    whole: records.Record, tmp_path: Path
) -> None:
    Attempt(tmp_path, 1).run(stop=after(14))
    for path in (tmp_path / "checkpoints").glob("*.pt"):
        path.write_bytes(path.read_bytes()[:100])
    second = Attempt(tmp_path, 2)
    assert second.run() == "done"
    row = second.record().rows[0]
    assert row["row"] == "attempt" and row["resumed_step"] == 0 and row["note"].count("cannot be read") == 2
    assert history(second.record()) == history(whole)


def test_a_checkpoint_of_other_data_is_not_resumed(tmp_path: Path) -> None:
    Attempt(tmp_path, 1).run(stop=after(14))
    second = Attempt(tmp_path, 2, toys.job(task=toys.chosen("task", "toy", fingerprint="other")))
    assert second.run() == "done"
    row = second.record().rows[0]
    assert row["resumed_step"] == 0 and "another data" in row["note"]
    assert second.record().header["data"]["fingerprint"] == "other"


def test_a_failure_before_the_first_step_does_not_cost_the_checkpoint(
    whole: records.Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Attempt(tmp_path, 1).run(stop=after(14))
    with monkeypatch.context() as patch:
        patch.setattr(toys.Toy, "provenance", lambda self, root: 1 / 0)
        assert Attempt(tmp_path, 2).run() == "error"
    third = Attempt(tmp_path, 3)
    assert third.run() == "done"
    assert [row["resumed_step"] for row in third.record().rows if row["row"] == "attempt"] == [8]
    assert history(third.record()) == history(whole)


def test_the_attempt_row_carries_what_ended_the_earlier_attempts(tmp_path: Path) -> None:
    Attempt(tmp_path, 1).run(stop=after(2))
    second = Attempt(tmp_path, 2)
    second.run()
    row = next(row for row in second.record().rows if row["row"] == "attempt")
    assert row["history"] == [{"status": "error", "reason": "killed"}] and row["attempt"] == 2


@pytest.mark.parametrize("polls", [10**6, 7])
def test_checkpoints_are_left_to_the_keeper_of_the_record(polls: int, tmp_path: Path) -> None:
    Attempt(tmp_path, 1).run(stop=after(polls))
    assert list((tmp_path / "checkpoints").glob("*.pt"))


@pytest.mark.parametrize("polls", [7, 13])
def test_the_plateau_schedule_goes_on_where_it_was(polls: int, tmp_path: Path) -> None:
    job = toys.job()
    job["spec"]["training"] |= {"schedule": "plateau", "plateau_patience": 0, "test_at": "evaluations"}
    assert Attempt(tmp_path / "whole", 1, job).run() == "done"
    assert Attempt(tmp_path / "cut", 1, job).run(stop=after(polls)) == "interrupted"
    assert Attempt(tmp_path / "cut", 2, job).run() == "done"
    assert history(Attempt(tmp_path / "cut", 1, job).record()) == history(Attempt(tmp_path / "whole", 1, job).record())
