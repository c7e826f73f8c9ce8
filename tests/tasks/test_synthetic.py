"""Reconstruction, copying and adding against their definitions."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import UsageError
from harness.registry import lookup
from harness.tasks import TASKS
from harness.tasks.adding import Adding
from harness.tasks.copying import Copying
from harness.tasks.delay import Delay
from harness.tasks.reconstruct import Reconstruct
from harness.tasks.task import NOT_ASKED, Task

DRAWN = {"delay": Delay(), "reconstruct": Reconstruct(), "copying": Copying(), "adding": Adding()}
CHANGES: dict[str, Any] = {"selective": True, "band": 0.2, "rms": 0.4}


def small(task: Task) -> Task:
    return dataclasses.replace(task, examples=16, evaluation_examples=200)  # type: ignore[type-var]


def test_the_defaults_are_the_paper_s_sizes() -> None:
    delay, reconstruct, copying = Delay(), Reconstruct(), Copying()
    assert (delay.length, delay.lag, delay.band, delay.rms) == (4000, 1000, 0.25, 0.5)
    assert (delay.examples, delay.evaluation_examples) == (16_384, 1_024)
    assert (reconstruct.length, reconstruct.memory, reconstruct.band, reconstruct.rms) == (4000, 1000, 0.1, 0.5)
    assert (copying.memorize, copying.noise, copying.tokens, copying.max_length) == (10, 100, 10, 120)
    assert Adding().length == 1000


@pytest.mark.parametrize("name", DRAWN)
def test_the_evaluation_sets_follow_the_data_seed_alone(name: str) -> None:
    task = small(DRAWN[name])
    first, again, other = (next(task.open(None, seed).evaluation("test", 8)).x for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize(("name", "field"), [(n, f.name) for n, t in DRAWN.items() for f in dataclasses.fields(t)])  # type: ignore[arg-type]
def test_every_parameter_changes_the_fingerprint(name: str, field: str) -> None:
    task: Any = DRAWN[name]
    changed = dataclasses.replace(task, **{field: CHANGES.get(field, getattr(task, field) + 2)})
    assert changed.provenance(None).fingerprint != task.provenance(None).fingerprint


@pytest.mark.parametrize("name", ["reconstruct", "adding"])
def test_saying_zero_scores_the_zero_reference(name: str) -> None:
    task = small(DRAWN[name])
    data = task.open(None, 0)
    (batch,) = data.evaluation("test", 200)
    means = {key: total / count for key, (total, count) in task.score(torch.zeros_like(batch.y), batch).items()}
    # Both are float64 sums of the same float32 numbers in another order.
    assert task.summary(means)["rmse"] == pytest.approx(data.references()["zero"], rel=1e-12)
    assert task.summary(means)["relative_rmse"] == pytest.approx(1.0, rel=1e-15)


def test_reconstruction_asks_for_the_end_of_the_input() -> None:
    task = Reconstruct(length=60, memory=17, reference_state=4)
    batch = task.open(None, 0).train_batch(4, 8, order_seed=2)
    assert torch.equal(batch.y, batch.x[:, -17:, 0]) and task.outputs == 17


def test_reconstruction_knows_the_error_of_a_constant() -> None:
    """The noise is w_j - w_0 with mean -w_0 over the input, so what is left is w_j over the last samples."""
    task = Reconstruct(length=200, memory=50, reference_state=4)
    (batch,) = (data := task.open(None, 0)).evaluation("test", 1024)
    left = batch.y + (batch.x[..., 0].double().mean(1, keepdim=True) * -1)
    assert data.references()["constant"] == pytest.approx(float(left.square().mean().sqrt()), rel=1e-12)


def test_a_larger_frozen_state_remembers_more() -> None:
    task = Reconstruct(length=200, memory=50)
    for name in ("legs", "legt", "fout"):
        errors = [
            dataclasses.replace(task, reference_state=n).open(None, 0).references()[f"frozen_{name}"]
            for n in (4, 8, 16)
        ]
        assert errors == sorted(errors, reverse=True) and 0 < errors[-1] < errors[0]


@pytest.mark.parametrize("selective", [False, True])
def test_copying_asks_for_its_tokens_in_their_order(selective: bool) -> None:
    task = Copying(memorize=4, noise=9, tokens=6, selective=selective)
    batch = task.open(None, 0).train_batch(0, 64, order_seed=1)
    assert batch.x.shape == (64, 17) and (batch.x[:, -4:] == 5).all() and (batch.y[:, :-4] == NOT_ASKED).all()
    for x, y in zip(batch.x[:, :-4], batch.y[:, -4:], strict=True):
        assert torch.equal(x[x != 0], y) and y.min() >= 1 and y.max() <= 4
    first = (batch.x[:, :4] != 0).all(dim=1)
    assert not first.all() if selective else first.all()


def test_every_place_of_selective_copying_is_equally_likely() -> None:
    x, _ = Copying(memorize=3, noise=9, selective=True).draw(np.random.default_rng(0), 4000)
    taken = (x[:, :12] != 0).mean(axis=0)
    # Five deviations of a share of 1/4 among 4000.
    assert np.abs(taken - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 4000)


def test_copying_counts_tokens_and_whole_sequences() -> None:
    task = Copying(memorize=2, noise=1, tokens=4)
    batch = task.open(None, 0).train_batch(0, 4, 0)
    right = torch.nn.functional.one_hot(batch.y.clamp(min=0), 4).float()
    assert float(task.score(right, batch)["accuracy"][0]) == 8 and task.score(right, batch)["sequence_accuracy"] == (
        4,
        4,
    )
    right[0, -1] = right[0, -1].roll(1)
    assert task.score(right, batch)["accuracy"] == (7, 8) and task.score(right, batch)["sequence_accuracy"] == (3, 4)


def test_copying_references_know_the_tokens_alone() -> None:
    task = Copying(evaluation_examples=50)
    (batch,) = (data := task.open(None, 0)).evaluation("test", 50)
    counts = torch.bincount(batch.y[batch.y != NOT_ASKED])
    assert data.references() == {"chance": 1 / 8, "constant": float(counts.max()) / 500}


def test_adding_marks_one_number_of_each_half() -> None:
    batch = Adding(length=11).open(None, 0).train_batch(0, 500, order_seed=1)
    values, marks = batch.x.unbind(-1)
    assert values.min() >= 0 and values.max() < 1 and ((marks == 0) | (marks == 1)).all()
    assert (marks[:, :5].sum(1) == 1).all() and (marks[:, 5:].sum(1) == 1).all() and (marks.sum(0) > 0).all()
    assert torch.equal(batch.y[:, 0], (values * marks).sum(1))


def test_adding_references_are_near_their_expectations() -> None:
    references = Adding(length=20, evaluation_examples=4000).open(None, 0).references()
    # E s^2 = 7/6 with variance 127/180, E (s - 1)^2 = 1/6 with variance 7/180, for s the sum of two uniform numbers:
    # five deviations of means of 4000.
    assert abs(references["zero"] ** 2 - 7 / 6) < 5 * np.sqrt(127 / 180 / 4000)
    assert abs(references["constant"] ** 2 - 1 / 6) < 5 * np.sqrt(7 / 180 / 4000)


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("reconstruct", {"memory": 0}, "task.memory is 0; it must be 1 to task.length, which is 4000."),
        ("reconstruct", {"memory": 4001}, "task.memory is 4001; it must be 1 to task.length, which is 4000."),
        ("reconstruct", {"reference_state": 5}, "task.reference_state is 5; it must be even"),
        ("reconstruct", {"band": 0.6}, "task.band is 0.6; it must be above 0 and at most 0.5"),
        ("copying", {"tokens": 3}, "task.tokens is 3; it must be at least 4."),
        ("copying", {"noise": -1}, "task.noise is -1; it must be at least 0."),
        ("copying", {"memorize": 0}, "task.memorize is 0; it must be at least 1."),
        ("adding", {"length": 1}, "task.length is 1; it must be at least 2."),
        ("adding", {"examples": 0}, "task.examples is 0; it must be at least 1."),
    ],
)
def test_a_bad_parameter_is_one_sentence(name: str, parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        lookup("task", TASKS, name)(**parameters)
