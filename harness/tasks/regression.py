"""What every regression task shares: the mean square error, and its root against that of always saying zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.tasks.task import Batch, Task

if TYPE_CHECKING:
    import torch


class Regression(Task):
    """Numbers for each example, or for each step of it: y and outputs are float32 of one shape."""

    primary: ClassVar[str] = "rmse"
    higher_is_better: ClassVar[bool] = False

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


def root_mean_square(values: NDArray[np.floating]) -> float:
    """Of all values together, summed in float64."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
