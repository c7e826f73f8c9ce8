"""A pass over a split without gradients, and which of two scores is better."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from harness.errors import Diverged, Interrupted
from harness.tasks.task import Batch, Task


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on `device`."""
    found = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return dataclasses.replace(batch, **{k: v.to(device) for k, v in found.items() if isinstance(v, torch.Tensor)})


def evaluate(
    model: nn.Module, task: Task, batches: Iterable[Batch], device: torch.device, stop: Callable[[], bool]
) -> dict[str, float]:
    """The task's metrics over `batches`, every example with equal weight.

    Leaves the model in evaluation mode and its state untouched. Raises Interrupted when `stop()` turns true.
    """
    model.eval()
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    with torch.no_grad():
        for batch in batches:
            if stop():
                raise Interrupted("The trial was asked to stop during an evaluation.")
            batch = moved(batch, device)
            for name, (total, count) in task.score(model(batch.x, batch.lengths), batch).items():
                sums[name] = sums.get(name, 0.0) + float(total)
                counts[name] = counts.get(name, 0) + count
    return task.summary({name: sums[name] / counts[name] for name in sums})


def check_finite(metrics: dict[str, float], task: Task, split: str, step: int) -> None:
    """Raise Diverged when the loss or the metric that validation selects by is not finite."""
    for name in dict.fromkeys(("loss", task.primary)):
        if name in metrics and not math.isfinite(metrics[name]):
            raise Diverged(f"The {name} on {split} was {metrics[name]} after step {step}, though training was finite.")


def better(score: float, best: float | None, higher_is_better: bool) -> bool:
    """Whether `score` beats the best so far; a tie keeps the earlier one."""
    return best is None or (score > best if higher_is_better else score < best)
