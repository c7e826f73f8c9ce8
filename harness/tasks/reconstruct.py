"""The reconstruction task: after reading a band-limited signal, give its last samples back from the final state.

Legend: M examples, L length, S samples to give back; u the input, y the target.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from harness.bases import BASES
from harness.errors import UsageError
from harness.registry import lookup
from harness.tasks.files import fingerprint
from harness.tasks.frozen import FROZEN, kernel, unexplained
from harness.tasks.noise import band_limited_noise, check_noise, noise_factor
from harness.tasks.regression import Regression, root_mean_square
from harness.tasks.task import Data, Inputs, Provenance, check_at_least


@dataclass(frozen=True)
class Reconstruct(Regression):
    """Give back the last `memory` samples of band-limited white noise, all at once, at its end (Gu et al. 2022).

    y = (u_{L-S}, ..., u_{L-1}). The model has to pool by "last": the answer is read from the final state.
    """

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Reconstruction"
    suite: ClassVar[Literal["lra", "synthetic"]] = "synthetic"

    length: int = 4000
    memory: int = 1000
    """S, samples to give back."""
    band: float = 0.1
    """Highest frequency, in cycles per sample; 0.5 is the Nyquist frequency."""
    rms: float = 0.5
    """Of the noise before it is shifted to start at zero."""
    reference_state: int = 256
    """N of the frozen state spaces among the references."""
    examples: int = 16384
    """Training sequences in an epoch, every one drawn afresh."""
    evaluation_examples: int = 1024
    """Sequences in each of the fixed "val" and "test"."""

    def __post_init__(self) -> None:
        check_at_least(self, {"length": 1, "reference_state": 2, "examples": 1, "evaluation_examples": 1})
        if not 1 <= self.memory <= self.length:
            raise UsageError(f"task.memory is {self.memory}; it must be 1 to task.length, which is {self.length}.")
        if self.reference_state % 2:
            raise UsageError(
                f"task.reference_state is {self.reference_state}; it must be even, because states come in pairs."
            )
        check_noise(self.length, self.band, self.rms)

    @property
    def inputs(self) -> Inputs:
        return Inputs("real", 1)

    @property
    def outputs(self) -> int:
        return self.memory

    @property
    def max_length(self) -> int:
        return self.length

    def provenance(self, data_root: Path | None) -> Provenance:
        identity = fingerprint("reconstruct", self.version, dataclasses.asdict(self))
        return Provenance(identity, "generated", "band-limited white noise drawn by the harness")

    def open(self, data_root: Path | None, seed: int) -> Data:
        from harness.tasks.drawn import Drawn

        return Drawn(self.draw, self.examples, self.evaluation_examples, seed, self.references)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x (M, L, 1) and y (M, S)."""
        u = band_limited_noise(rng, count, self.length, self.band, self.rms).astype(np.float32)
        return u[..., None], u[:, -self.memory :]

    def references(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> dict[str, float]:
        """`zero` always says 0; `constant` knows each input's mean and says it; `frozen_...` are as `frozen` says.

        An error near `constant` means that only the offset of the signal was learned.
        """
        mean = x[..., 0].mean(axis=-1, keepdims=True, dtype=np.float64)
        known = {"zero": root_mean_square(y), "constant": root_mean_square(y - mean)}
        for name in FROZEN:
            A, B = lookup("basis", BASES, name)().matrices(self.reference_state)
            known[f"frozen_{name}"] = self.frozen(A, B, 2.0 / self.memory)
        return known

    def frozen(self, A: NDArray[np.float64], B: NDArray[np.float64], dt: float) -> float:
        """The expected error of the best read-out of one state space x' = Ax + Bu that is not trained."""
        F = noise_factor(self.length, self.band, self.rms)
        return unexplained(kernel(A, B, dt, self.length), F, F[-self.memory :])
