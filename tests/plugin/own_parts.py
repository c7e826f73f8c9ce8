"""A user's module with one basis, one backend and one task of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from harness.bases import BASES
from harness.bases.basis import Complex, DiagonalBasis
from harness.kernels import KERNELS
from harness.kernels.backend import Backend, Request, StateSpace
from harness.kernels.reference import Reference
from harness.tasks import TASKS
from harness.tasks.task import Batch, Data, Inputs, Provenance, Task


@dataclass(frozen=True)
class Chirp(DiagonalBasis):
    """Quadratically spaced frequencies."""

    version: ClassVar[int] = 1
    rate: float = 1.0

    def spectrum(self, n: int) -> tuple[Complex, Complex]:
        k = np.arange(n // 2)
        return -0.5 + 1j * self.rate * k**2, np.ones(n // 2, dtype=complex)


@dataclass(frozen=True)
class Wrapped(Backend):
    """The reference under another name."""

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return Reference().unsupported(request)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        return Reference().kernel(ssm, request)


class _Signs(Data):
    sizes: Mapping[str, int] = {"train": 64, "val": 16, "test": 16}

    def _batch(self, seed: int, size: int) -> Batch:
        x = torch.randn(size, 8, 1, generator=torch.Generator().manual_seed(seed))
        return Batch(x, (x.sum((1, 2)) > 0).long())

    def train_batch(self, step: int, batch_size: int, order_seed: int) -> Batch:
        return self._batch((order_seed + step) % 2**62, batch_size)

    def evaluation(self, split: str, batch_size: int) -> Iterator[Batch]:
        yield self._batch(len(split), self.sizes[split])

    def references(self) -> dict[str, float]:
        return {"chance": 0.5}


@dataclass(frozen=True)
class Signs(Task):
    """Is the sum of the sequence positive?"""

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Signs"
    suite: ClassVar = "synthetic"
    primary: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    inputs = Inputs("real", 1)
    outputs = 2
    max_length = 8

    def provenance(self, data_root: Path | None) -> Provenance:
        return Provenance("signs-1", "generated", "drawn afresh")

    def open(self, data_root: Path | None, seed: int) -> Data:
        return _Signs()

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(outputs, batch.y)

    def score(self, outputs: torch.Tensor, batch: Batch) -> dict[str, tuple[float, int]]:
        right = (outputs.argmax(-1) == batch.y).float()
        return {
            "accuracy": (float(right.sum()), len(right)),
            "loss": (float(self.loss(outputs, batch)) * len(right), len(right)),
        }


BASES["chirp"] = Chirp
KERNELS["wrapped"] = Wrapped
TASKS["signs"] = Signs
