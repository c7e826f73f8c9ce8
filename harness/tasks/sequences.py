"""Examples held in memory: splits of arrays, an order per epoch, and batches that are slices of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from harness.tasks.ragged import Ragged
from harness.tasks.task import Batch, Data

SHARE = 0.25
"""Of a GPU's free memory: a data set that takes more stays on the host, and its batches are moved one by one."""


@dataclass(frozen=True)
class Split:
    """x (n, ...) in a compact dtype, padded where `padded` says so, or sequences of several lengths; y (n, ...)."""

    x: torch.Tensor | Ragged
    y: torch.Tensor
    padded: torch.Tensor | None = None
    """Lengths int64 (n,) of padded x."""
    rows: torch.Tensor | None = None
    """int64 (n,): where the examples lie in an x too large to be put in order; None where x is the split itself."""

    @property
    def stored(self) -> torch.Tensor:
        return self.x.tokens if isinstance(self.x, Ragged) else self.x

    @property
    def lengths(self) -> torch.Tensor | None:
        return self.x.lengths if isinstance(self.x, Ragged) else self.padded


class Sequences(Data):
    """An in-memory data set. `decode` turns rows of x as stored into what the encoder reads."""

    def __init__(
        self,
        splits: Mapping[str, Split],
        references: Mapping[str, float],
        decode: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
    ) -> None:
        self._splits = dict(splits)
        self._references = dict(references)
        self._decode = decode
        self._order: tuple[tuple[int, int], torch.Tensor] | None = None
        self.sizes = {name: len(split.y) for name, split in splits.items()}

    def to(self, device: torch.device) -> None:
        """Move everything to a GPU where it takes at most SHARE of its free memory."""
        stores = {id(split.stored): split.stored for split in self._splits.values()}
        if device.type != "cuda" or sum(one.nbytes for one in stores.values()) > SHARE * _free_memory(device):
            return
        moved = {key: store.to(device) for key, store in stores.items()}
        for name, split in self._splits.items():
            there = moved[id(split.stored)]
            x = dataclasses.replace(split.x, tokens=there) if isinstance(split.x, Ragged) else there
            self._splits[name] = dataclasses.replace(split, x=x, y=split.y.to(device))

    def order(self, order_seed: int, epoch: int) -> torch.Tensor:
        """The epoch's permutation of the training examples (n,), int64; the last one asked for is kept."""
        key = (order_seed, epoch)
        if self._order is None or self._order[0] != key:
            permutation = np.random.default_rng([order_seed, epoch]).permutation(self.sizes["train"])
            self._order = (key, torch.from_numpy(permutation))
        return self._order[1]

    def train_batch(self, step: int, batch_size: int, order_seed: int) -> Batch:
        epoch, index = divmod(step, self.steps_per_epoch(batch_size))
        return self._batch("train", self.order(order_seed, epoch)[index * batch_size : (index + 1) * batch_size])

    def evaluation(self, split: str, batch_size: int) -> Iterator[Batch]:
        for start in range(0, self.sizes[split], batch_size):
            yield self._batch(split, slice(start, start + batch_size))

    def references(self) -> dict[str, float]:
        return dict(self._references)

    def _batch(self, name: str, rows: torch.Tensor | slice) -> Batch:
        split = self._splits[name]
        lengths = None if split.lengths is None else split.lengths[rows]
        x = split.x[rows] if split.rows is None else split.x[split.rows[rows]]
        return Batch(self._decode(x), split.y[rows], lengths)


def _free_memory(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0]
