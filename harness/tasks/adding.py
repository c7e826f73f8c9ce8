"""The adding problem: the sum of the two marked numbers of a sequence.

Legend: M examples, L length.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from harness.tasks.files import fingerprint
from harness.tasks.regression import Regression, root_mean_square
from harness.tasks.task import Data, Inputs, Provenance, check_at_least


@dataclass(frozen=True)
class Adding(Regression):
    """Add two marked numbers, one of each half of a sequence of uniform ones (Hochreiter, Schmidhuber 1997).

    Two channels: numbers uniform in [0, 1), and a mark that is 1 at one step of the first half and one of the second
    (the form of Arjovsky, Shah, Bengio 2016).
    """

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Adding"
    suite: ClassVar[Literal["lra", "synthetic"]] = "synthetic"

    length: int = 1000
    examples: int = 16384
    """Training sequences in an epoch, every one drawn afresh."""
    evaluation_examples: int = 1024
    """Sequences in each of the fixed "val" and "test"."""

    def __post_init__(self) -> None:
        check_at_least(self, {"length": 2, "examples": 1, "evaluation_examples": 1})

    @property
    def inputs(self) -> Inputs:
        return Inputs("real", 2)

    @property
    def outputs(self) -> int:
        return 1

    @property
    def max_length(self) -> int:
        return self.length

    def provenance(self, data_root: Path | None) -> Provenance:
        identity = fingerprint("adding", self.version, dataclasses.asdict(self))
        return Provenance(identity, "generated", "uniform numbers drawn by the harness")

    def open(self, data_root: Path | None, seed: int) -> Data:
        from harness.tasks.drawn import Drawn

        return Drawn(self.draw, self.examples, self.evaluation_examples, seed, self.references)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x (M, L, 2) and y (M, 1)."""
        x = np.zeros((count, self.length, 2), dtype=np.float32)
        x[..., 0] = rng.random((count, self.length), dtype=np.float32)
        half, every = self.length // 2, np.arange(count)
        x[every, rng.integers(0, half, count), 1] = 1.0
        x[every, rng.integers(half, self.length, count), 1] = 1.0
        return x, (x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True)

    def references(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> dict[str, float]:
        """`zero` always says 0 (7/6 is its expected square); `constant` says 1, the expected sum (1/6 is its)."""
        return {"zero": root_mean_square(y), "constant": root_mean_square(y - 1.0)}
