"""Examples drawn as training needs them, every one afresh; only the evaluation sets are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.tasks.task import Batch, Data

EVALUATION = ("val", "test")
Example = NDArray[Any]
Draw = Callable[[np.random.Generator, int], tuple[Example, Example]]
"""From a generator and a count to x and y of a batch."""


class Drawn(Data):
    """Training batches drawn from (order seed, step); evaluation sets fixed by the data seed."""

    def __init__(
        self,
        draw: Draw,
        examples: int,
        evaluation_examples: int,
        seed: int,
        references: Callable[[Example, Example], dict[str, float]],
    ) -> None:
        """`references` is given x and y of the test set."""
        self._draw = draw
        self._references = references
        self.sizes = {"train": examples, **dict.fromkeys(EVALUATION, evaluation_examples)}
        self._sets = {
            split: draw(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,))), evaluation_examples)
            for key, split in enumerate(EVALUATION)
        }

    def train_batch(self, step: int, batch_size: int, order_seed: int) -> Batch:
        x, y = self._draw(np.random.default_rng([order_seed, step]), batch_size)
        return Batch(torch.from_numpy(x), torch.from_numpy(y))

    def evaluation(self, split: str, batch_size: int) -> Iterator[Batch]:
        x, y = self._sets[split]
        for start in range(0, len(x), batch_size):
            stop = start + batch_size
            yield Batch(torch.from_numpy(x[start:stop]), torch.from_numpy(y[start:stop]))

    def references(self) -> dict[str, float]:
        return self._references(*self._sets["test"])
