"""The order of an in-memory data set."""

from __future__ import annotations

import pytest
import torch

from harness.tasks.sequences import Sequences, Split


def numbered(size: int = 20) -> Sequences:
    """Example i is the number i, of length i + 1, with label i."""
    x = torch.arange(size)
    split = Split(x[:, None], x, x + 1)
    return Sequences({"train": split, "val": split, "test": split}, {"chance": 0.5}, decode=lambda rows: rows)


def test_an_epoch_takes_every_example_once() -> None:
    data = numbered(20)
    for epoch in range(3):
        steps = range(epoch * data.steps_per_epoch(5), (epoch + 1) * data.steps_per_epoch(5))
        taken = torch.cat([data.train_batch(step, 5, order_seed=9).y for step in steps])
        assert torch.equal(taken.sort().values, torch.arange(20))


def test_what_does_not_fill_a_batch_is_left_out_of_the_epoch() -> None:
    data = numbered(20)
    assert data.steps_per_epoch(6) == 3
    taken = torch.cat([data.train_batch(step, 6, order_seed=9).y for step in range(3)])
    assert len(torch.unique(taken)) == 18


def test_the_next_epoch_has_another_order() -> None:
    data = numbered(20)
    assert not torch.equal(data.order(9, 0), data.order(9, 1))


def test_going_back_an_epoch_gives_the_same_batch() -> None:
    data = numbered(20)
    first = data.train_batch(1, 5, order_seed=9).y
    data.train_batch(4, 5, order_seed=9)
    assert torch.equal(data.train_batch(1, 5, order_seed=9).y, first)


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    data = numbered(4)
    assert data.steps_per_epoch(10) == 1
    assert len(data.train_batch(0, 10, order_seed=0).y) == 4


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_keeps_inputs_targets_and_lengths_together(split: str) -> None:
    for batch in numbered(20).evaluation(split, 6):
        assert batch.lengths is not None
        assert torch.equal(batch.x[:, 0], batch.y) and torch.equal(batch.lengths, batch.y + 1)


def test_training_keeps_inputs_targets_and_lengths_together() -> None:
    batch = numbered(20).train_batch(2, 6, order_seed=1)
    assert batch.lengths is not None
    assert torch.equal(batch.x[:, 0], batch.y) and torch.equal(batch.lengths, batch.y + 1)
