"""The delay task: repeat a band-limited signal a fixed number of samples later.

Legend: M examples, L length; u the input, y the target.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.bases import BASES
from harness.errors import UsageError
from harness.registry import lookup
from harness.tasks.files import fingerprint
from harness.tasks.frozen import FROZEN, kernel
from harness.tasks.frozen_steps import delay_errors
from harness.tasks.noise import band_limited_noise, check_noise
from harness.tasks.regression import Regression, root_mean_square
from harness.tasks.task import Data, Inputs, Provenance, check_at_least

Real = TypeVar("Real", bound=np.floating)

REFERENCE_STATE = 256
"""N of the frozen state spaces among the references, or `lag` where that is less: more could hold every sample."""


@dataclass(frozen=True)
class Delay(Regression):
    """Output the input `lag` samples later; the input is band-limited white noise (Gu et al. 2022).

    The defaults are the paper's settings.
    """

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Delay"
    suite: ClassVar[Literal["lra", "synthetic"]] = "synthetic"
    per_step: ClassVar[bool] = True

    length: int = 4000
    lag: int = 1000
    band: float = 0.25
    """Highest frequency, in cycles per sample; 0.5 is the Nyquist frequency."""
    rms: float = 0.5
    """Of the noise before it is shifted to start at zero."""
    examples: int = 16384
    """Training sequences in an epoch, every one drawn afresh."""
    evaluation_examples: int = 1024
    """Sequences in each of the fixed "val" and "test"."""

    def __post_init__(self) -> None:
        check_at_least(self, {"length": 1, "examples": 1, "evaluation_examples": 1})
        if not 0 <= self.lag <= self.length - 2:
            raise UsageError(
                f"task.lag is {self.lag}; it must be at least 0 and at most task.length - 2, which is "
                f"{self.length - 2}, because the signal's first sample is zero."
            )
        check_noise(self.length, self.band, self.rms)

    @property
    def inputs(self) -> Inputs:
        return Inputs("real", 1)

    @property
    def outputs(self) -> int:
        return 1

    @property
    def max_length(self) -> int:
        return self.length

    def provenance(self, data_root: Path | None) -> Provenance:
        identity = fingerprint("delay", self.version, dataclasses.asdict(self))
        return Provenance(identity, "generated", "band-limited white noise drawn by the harness")

    def open(self, data_root: Path | None, seed: int) -> Data:
        from harness.tasks.drawn import Drawn

        return Drawn(self.draw, self.examples, self.evaluation_examples, seed, self.references)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x and y (M, L, 1)."""
        u = band_limited_noise(rng, count, self.length, self.band, self.rms).astype(np.float32)
        return u[..., None], delayed(u, self.lag)[..., None]

    def references(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> dict[str, float]:
        """`zero` always says 0; `constant` knows each input's mean and says it once the lag is over.

        An error near `constant` means that only the offset of the signal was learned, and no delay. `frozen_...` is
        expected of a state space at dt = 2/lag that is not trained, whose C and D are the best for all steps together.
        """
        u = x[..., 0].astype(np.float64)
        target = delayed(u, self.lag)
        constant = delayed(np.broadcast_to(u.mean(axis=-1, keepdims=True), u.shape), self.lag)
        known = {"zero": root_mean_square(target), "constant": root_mean_square(target - constant)}
        errors = self.frozen(max(2, min(REFERENCE_STATE, self.lag // 2 * 2)), 2.0 / max(self.lag, 1))
        return known | {f"frozen_{name}": error for name, error in errors.items()}

    def frozen(self, n: int, dt: float) -> dict[str, float]:
        """The expected error of the best read-out of each basis with `n` states, an even number."""
        spaces = [lookup("basis", BASES, name)().matrices(n) for name in FROZEN]
        kernels = [kernel(A, B, dt, self.length) for A, B in spaces]
        return dict(zip(FROZEN, delay_errors(kernels, self.lag, self.band, self.rms), strict=True))


def delayed(u: NDArray[Real], lag: int) -> NDArray[Real]:
    """y_j = u_{j - lag}, zero for j < lag; (M, L) to (M, L)."""
    y = np.zeros_like(u)
    y[:, lag:] = u[:, : u.shape[1] - lag]
    return y
