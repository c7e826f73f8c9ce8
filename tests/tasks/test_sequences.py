"""The order of an in-memory data set."""

from __future__ import annotations

import pytest
import torch

from harness.tasks import sequences
from harness.tasks.ragged import Ragged
from harness.tasks.sequences import Sequences, Split
from harness.tasks.task import Batch


def numbered(size: int = 20) -> Sequences:
    """Example i is the number i + 1, i + 1 times, with label i."""
    y = torch.arange(size)
    split = Split(Ragged.of((y + 1).repeat_interleave(y + 1).to(torch.int16), y + 1), y)
    return Sequences({"train": split, "val": split, "test": split}, {"chance": 0.5})


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
        assert torch.equal(batch.x[:, 0], batch.y + 1) and torch.equal(batch.lengths, batch.y + 1)


def test_training_keeps_inputs_targets_and_lengths_together() -> None:
    batch = numbered(20).train_batch(2, 6, order_seed=1)
    assert batch.lengths is not None
    assert torch.equal(batch.x[:, 0], batch.y + 1) and torch.equal(batch.lengths, batch.y + 1)


def test_a_batch_is_padded_with_zeros_to_its_longest() -> None:
    batch = numbered(20).train_batch(2, 6, order_seed=1)
    assert batch.lengths is not None and batch.x.shape == (6, int(batch.lengths.max()))
    assert torch.equal((batch.x > 0).sum(1), batch.lengths)
    assert all((row[:length] == length).all() for row, length in zip(batch.x, batch.lengths, strict=True))


def test_pairs_are_padded_together() -> None:
    documents = Ragged.of(torch.tensor([1, 2, 2, 3, 3, 3]), torch.tensor([1, 2, 3]))
    pairs = documents.rows(torch.tensor([[0, 1], [1, 1], [2, 0]]))
    assert pairs[torch.tensor([1, 0])].tolist() == [[[2, 2], [2, 2]], [[1, 0], [2, 2]]]
    assert pairs[2:].tolist() == [[[3, 3, 3], [1, 0, 0]]] and pairs.lengths.tolist() == [[1, 2], [2, 2], [3, 1]]


@pytest.mark.parametrize("free", [0, 4 * 210 * 2 - 1, 4 * 210 * 2])
def test_a_gpu_holds_the_data_once_where_it_takes_a_quarter_of_its_memory(
    monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    """The splits share 210 tokens of two bytes; `meta` stands for the GPU that may not be here."""
    moved: list[torch.Tensor] = []
    to = torch.Tensor.to

    def onto_meta(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        moved.append(tensor)
        return to(tensor, "meta")

    data = numbered(20)
    monkeypatch.setattr(sequences, "_free_memory", lambda device: free)
    with monkeypatch.context() as patched:
        patched.setattr(torch.Tensor, "to", onto_meta)
        data.to(torch.device("cuda"))
    assert [len(one) for one in moved] == ([210, 20, 20, 20] if free == 4 * 210 * 2 else [])


def test_on_the_host_nothing_moves() -> None:
    data = numbered(20)
    before: Batch = data.train_batch(0, 4, 0)
    data.to(torch.device("cpu"))
    assert torch.equal(data.train_batch(0, 4, 0).x, before.x)
