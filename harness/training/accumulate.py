"""The gradient of a batch, taken in micro-batches one after another: the memory of one, the gradient of all.

g = sum_k (M_k / M) g_k       micro-batches of M_k of the M examples, g_k the gradient of the mean loss of the k-th
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from harness.tasks.task import Batch
from harness.training.config import AdamW


def backward(loss: Callable[[Batch], torch.Tensor], batch: Batch, parts: int) -> torch.Tensor:
    """Add the gradient of `loss` over the whole batch to the parameters; the detached loss, float64."""
    total = torch.zeros((), dtype=torch.float64, device=batch.x.device)
    for part in split(batch, parts):
        one = loss(part) * (len(part.y) / len(batch.y))
        one.backward()  # type: ignore[no-untyped-call]
        total += one.detach().double()
    return total


def split(batch: Batch, parts: int) -> Iterator[Batch]:
    """At most `parts` batches, of equal size where that goes, padded as the whole."""
    size = math.ceil(len(batch.y) / parts)
    for start in range(0, len(batch.y), size):
        rows = slice(start, start + size)
        yield Batch(batch.x[rows], batch.y[rows], None if batch.lengths is None else batch.lengths[rows])


def after(recipe: AdamW, history: Sequence[Mapping[str, str]], batch_statistics: bool) -> AdamW:
    """The recipe of an attempt after those in `history`: for each that ran out of memory, micro-batches half as large.

    Of an odd number the larger half is taken, and the last micro-batch is smaller. The effective batch stays. Nothing
    changes where a model takes statistics over the batch, which would become those of a micro-batch.
    """
    if batch_statistics:
        return recipe
    size = math.ceil(recipe.batch_size / recipe.accumulate)
    for _ in range(sum(end["status"] == "out_of_memory" for end in history)):
        size = math.ceil(size / 2)
    parts = math.ceil(recipe.batch_size / size)
    return recipe if parts == recipe.accumulate else dataclasses.replace(recipe, accumulate=parts)
