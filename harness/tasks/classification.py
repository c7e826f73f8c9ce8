"""What every classification task shares: cross-entropy, accuracy, and the scores of knowing only the labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.tasks.task import Batch, Task

if TYPE_CHECKING:
    import torch


class Classification(Task):
    """One class per sequence: y int64 (M,), outputs (M, K) are logits."""

    primary: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, batch.y)

    def score(self, outputs: torch.Tensor, batch: Batch) -> dict[str, tuple[float, int]]:
        from torch.nn.functional import cross_entropy

        count = len(batch.y)
        loss = cross_entropy(outputs, batch.y, reduction="sum")
        correct = (outputs.argmax(dim=-1) == batch.y).sum()
        return {"loss": (float(loss), count), "accuracy": (float(correct), count)}

    def standard_errors(self, metrics: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
        """sqrt(p (1 - p) / n) of the accuracy p, a binomial share."""
        p, n = metrics["accuracy"], counts["accuracy"]
        return {"accuracy": math.sqrt(p * (1 - p) / n)}


def label_references(train: NDArray[np.integer], test: NDArray[np.integer], classes: int) -> dict[str, float]:
    """Accuracy on `test` (n,) of a uniform guess, and of always saying the commonest label of `train`."""
    majority = np.bincount(train, minlength=classes).argmax()
    return {"chance": 1.0 / classes, "majority": float((test == majority).mean())}
