"""The delay task: repeat a band-limited signal a fixed number of samples later.

Legend: M examples, L length; u the input, y the target.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.tasks.files import fingerprint
from harness.tasks.noise import band_limited_noise, kept_frequencies
from harness.tasks.task import Batch, Data, Inputs, Provenance, Task

if TYPE_CHECKING:
    import torch

EVALUATION = ("val", "test")
Real = TypeVar("Real", bound=np.floating)


@dataclass(frozen=True)
class Delay(Task):
    """Output the input `lag` samples later; the input is band-limited white noise (Gu et al. 2022).

    The paper's size is length 4000, lag 1000; the default keeps its ratio at a quarter of it.
    """

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Delay"
    suite: ClassVar[Literal["lra", "synthetic"]] = "synthetic"
    primary: ClassVar[str] = "rmse"
    higher_is_better: ClassVar[bool] = False
    per_step: ClassVar[bool] = True

    length: int = 1000
    lag: int = 250
    band: float = 0.25
    """Highest frequency, in cycles per sample; 0.5 is the Nyquist frequency."""
    rms: float = 0.5
    """Of the noise before it is shifted to start at zero."""
    examples: int = 16384
    """Training sequences in an epoch, every one drawn afresh."""
    evaluation_examples: int = 1024
    """Sequences in each of the fixed "val" and "test"."""

    def __post_init__(self) -> None:
        for name in ("length", "examples", "evaluation_examples"):
            if getattr(self, name) < 1:
                raise UsageError(f"task.{name} is {getattr(self, name)}; it must be at least 1.")
        if not 0 <= self.lag <= self.length - 2:
            raise UsageError(
                f"task.lag is {self.lag}; it must be at least 0 and at most task.length - 2, which is "
                f"{self.length - 2}, because the signal's first sample is zero."
            )
        if not 0.0 < self.band <= 0.5:
            raise UsageError(f"task.band is {self.band}; it must be above 0 and at most 0.5 cycles per sample.")
        if not 0.0 < self.rms < math.inf:
            raise UsageError(f"task.rms is {self.rms}; it must be above 0.")
        if kept_frequencies(self.length, self.band) < 1:
            raise UsageError(
                f"task.band = {self.band} keeps no frequency of {self.length} samples; "
                f"raise task.band or task.length until their product is at least 1."
            )

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
        return DelayData(self, seed)

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return (outputs - batch.y).square().mean()

    def score(self, outputs: torch.Tensor, batch: Batch) -> dict[str, tuple[float, int]]:
        count = batch.y.numel()
        error = (outputs - batch.y).double().square().sum()
        return {"loss": (float(error), count), "target_power": (float(batch.y.double().square().sum()), count)}

    def summary(self, means: Mapping[str, float]) -> dict[str, float]:
        """`loss` (mean square error), `rmse`, and `relative_rmse`: 1 is the error of always saying zero."""
        rmse = math.sqrt(means["loss"])
        zero = math.sqrt(means["target_power"])
        return {"loss": means["loss"], "rmse": rmse, "relative_rmse": rmse / zero}


class DelayData(Data):
    """Training batches drawn from (order seed, step); evaluation sets fixed by the data seed."""

    def __init__(self, task: Delay, seed: int) -> None:
        self._task = task
        self.sizes = {"train": task.examples, **dict.fromkeys(EVALUATION, task.evaluation_examples)}
        self._inputs = {
            split: self._draw(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,))), size)
            for key, (split, size) in enumerate((split, self.sizes[split]) for split in EVALUATION)
        }

    def train_batch(self, step: int, batch_size: int, order_seed: int) -> Batch:
        return self._batch(self._draw(np.random.default_rng([order_seed, step]), batch_size))

    def evaluation(self, split: str, batch_size: int) -> Iterator[Batch]:
        for start in range(0, self.sizes[split], batch_size):
            yield self._batch(self._inputs[split][start : start + batch_size])

    def references(self) -> dict[str, float]:
        """`zero` always says 0; `constant` knows each input's mean and says it once the lag is over.

        An error near `constant` means that only the offset of the signal was learned, and no delay.
        """
        u = self._inputs["test"].astype(np.float64)
        y = delayed(u, self._task.lag)
        constant = delayed(np.broadcast_to(u.mean(axis=-1, keepdims=True), u.shape), self._task.lag)
        return {"zero": _root_mean_square(y), "constant": _root_mean_square(y - constant)}

    def _draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        task = self._task
        return band_limited_noise(rng, count, task.length, task.band, task.rms).astype(np.float32)

    def _batch(self, u: NDArray[np.float32]) -> Batch:
        import torch

        y = delayed(u, self._task.lag)
        return Batch(torch.from_numpy(u).unsqueeze(-1), torch.from_numpy(y).unsqueeze(-1))


def delayed(u: NDArray[Real], lag: int) -> NDArray[Real]:
    """y_j = u_{j - lag}, zero for j < lag; (M, L) to (M, L)."""
    y = np.zeros_like(u)
    y[:, lag:] = u[:, : u.shape[1] - lag]
    return y


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
