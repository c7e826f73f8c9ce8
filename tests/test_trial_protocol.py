"""How a trial looks at its data: what is asked for is done, said in the record, and nothing else changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import trial_toys as toys

from harness import records
from harness.tasks import TASKS
from harness.trial import run


@dataclass(frozen=True)
class Labelled(toys.Toy):
    """The toy with the standard errors of a classification."""

    def standard_errors(self, metrics: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
        p, n = metrics["accuracy"], counts["accuracy"]
        return {"accuracy": math.sqrt(p * (1 - p) / n)}


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    toys.register(monkeypatch)
    monkeypatch.setitem(TASKS, "labelled", Labelled)
    toys.OPENED.clear()


def rows_of(**changed: Any) -> list[records.Row]:
    """The rows of the toy job with parameters changed: task, model and dt by name, everything else of the training."""
    job = toys.job()
    parts = {name: changed.pop(name) for name in ("task", "model", "dt") if name in changed}
    job["spec"]["training"] |= changed
    for name, change in parts.items():
        job["spec"][name] = change if "name" in change else job["spec"][name] | change
    rows: list[records.Row] = []
    run(job, rows.append, threads=1)
    return rows


def metrics(rows: list[records.Row], split: str, name: str) -> list[tuple[int, float]]:
    return [(row["step"], row["value"]) for row in rows if row.get("split") == split and row["name"] == name]


def test_test_is_looked_at_at_every_evaluation_where_that_is_asked_for() -> None:
    rows = rows_of(test_at="evaluations")
    assert toys.OPENED == ["val", "test"] * 3 + ["test"]
    ((best, score),) = metrics(rows, "test", "loss")
    # The same state on the same batches.
    assert dict(metrics(rows, "test_curve", "loss"))[best] == score
    assert rows[1]["labels"] == ["test looked at during training, as in the official code"]


def test_a_look_at_test_changes_nothing_else() -> None:
    plain, looked = rows_of(), rows_of(test_at="evaluations")
    for split, name in (("train", "loss"), ("val", "loss"), ("test", "loss")):
        assert metrics(plain, split, name) == metrics(looked, split, name)


def test_the_last_batch_of_an_evaluation_is_left_out_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    score = toys.Toy.score

    def noted(self: toys.Toy, outputs: torch.Tensor, batch: Any) -> dict[str, tuple[float, int]]:
        seen.append(len(batch.y))
        return score(self, outputs, batch)

    monkeypatch.setattr(toys.Toy, "score", noted)
    rows_of()
    assert seen == [4, 4, 2] * 4
    seen.clear()
    rows = rows_of(eval_drop_last=True)
    assert seen == [4, 4] * 4
    assert rows[1]["labels"] == ["the unfull last batch of validation and test left out, as in the official code"]


def test_leaving_out_every_example_is_refused_in_a_sentence() -> None:
    end = rows_of(eval_drop_last=True, eval_batch_size=11)[-1]
    assert end["status"] == "error" and end["reason"].startswith("training.eval_drop_last leaves nothing of the 10")


@pytest.mark.parametrize(
    ("norm", "accumulate", "said"),
    [("batch", 2, ["batch statistics of micro-batches, 2 to a batch"]), ("batch", 1, []), ("layer", 2, [])],
)
def test_batch_statistics_of_micro_batches_are_a_label(norm: str, accumulate: int, said: list[str]) -> None:
    rows = rows_of(model={"norm": norm}, accumulate=accumulate)
    assert rows[-1]["status"] == "done" and rows[1]["labels"] == said


def test_labels_of_model_and_timescale_are_in_the_record() -> None:
    rows = rows_of(model={"norm_over_padding": True}, dt={"min": 1e-5, "transform": "softplus", "floor": 1e-4})
    assert rows[1]["labels"] == ["dt floored at 0.0001", "batch statistics over padding, as in the official code"]
    assert rows[-1]["status"] == "done"


def test_accuracy_has_its_standard_error_and_a_trial_its_escape() -> None:
    rows = rows_of(task=toys.chosen("task", "labelled"))
    ((_, p),), ((_, error),) = metrics(rows, "test", "accuracy"), metrics(rows, "test", "accuracy_standard_error")
    assert error == math.sqrt(p * (1 - p) / 10)
    threshold = 0.5 + 3 * math.sqrt(0.25 / 10)
    above = [value > threshold for _, value in metrics(rows, "val", "accuracy")]
    assert metrics(rows, "run", "escaped_chance") == [(9, float(above[-1]))]


def test_a_task_without_standard_errors_has_no_escape() -> None:
    assert metrics(rows_of(), "run", "escaped_chance") == []


def test_drift_is_recorded_at_every_evaluation() -> None:
    rows = rows_of()
    for name in ("dt_median", "dt_max", "A_median", "A_max", "P_median", "P_max"):
        steps = [step for step, _ in metrics(rows, "drift", name)]
        assert steps == [3, 6, 9]
    assert metrics(rows, "drift", "dt_max")[-1][1] > 0


def test_the_plateau_lowers_the_rate_after_bad_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toys.Toy, "summary", lambda self, means: {**means, "accuracy": 0.5})
    rows = rows_of(schedule="plateau", plateau_patience=0, plateau_factor=0.5, warmup_steps=0, lr=0.01)
    rates = dict(metrics(rows, "train", "lr"))
    # The first evaluation sets the best, the second, after step 6, is the first bad one.
    assert (rates[6], rates[7], rates[9]) == (0.01, 0.005, 0.005)


def test_micro_batches_train_the_same_model() -> None:
    plain = {"model": {"norm": "layer", "dropout": 0.0}, "warmup_steps": 0}
    whole, parts = rows_of(**plain), rows_of(**plain, accumulate=2)
    first, second = metrics(whole, "train", "loss"), metrics(parts, "train", "loss")
    # AdamW divides a gradient by its size, so that rounding of the smallest gradients (1e-7 of the largest) can move a
    # parameter by lr = 1e-2 of itself in each of nine steps; the first loss is of the same parameters.
    assert second[0][1] == pytest.approx(first[0][1], rel=1e-6)
    assert [value for _, value in second] == pytest.approx([value for _, value in first], rel=0.09)


def test_a_trial_in_bf16_runs_to_its_end_and_says_so() -> None:
    rows = rows_of(precision="bf16-linear")
    assert rows[-1]["status"] == "done" and rows[1]["labels"] == ["linear layers in bfloat16"]
