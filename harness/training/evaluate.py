"""A pass over a split without gradients, and which of two scores is better."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch

from harness.errors import Diverged, Interrupted, UsageError
from harness.ssm.model import Model
from harness.tasks.task import Batch, Data, Task
from harness.training.config import AdamW
from harness.training.precision import forward


class Scores(NamedTuple):
    """The metrics of a split, and over how many examples (or steps of them) each is a mean."""

    metrics: dict[str, float]
    counts: dict[str, int]


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on `device`."""
    found = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return dataclasses.replace(batch, **{k: v.to(device) for k, v in found.items() if isinstance(v, torch.Tensor)})


def evaluate(
    model: Model, task: Task, data: Data, split: str, config: AdamW, device: torch.device, stop: Callable[[], bool]
) -> Scores:
    """The task's metrics over "val" or "test", every example with equal weight.

    Leaves the model in evaluation mode and its state untouched. Raises Interrupted when `stop()` turns true.
    """
    assert config.eval_batch_size is not None
    model.eval()
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    with torch.no_grad():
        for batch in _batches(data, split, config.eval_batch_size, config.eval_drop_last):
            if stop():
                raise Interrupted("The trial was asked to stop during an evaluation.")
            batch = moved(batch, device)
            for name, (total, count) in task.score(forward(model, batch, config.precision), batch).items():
                sums[name] = sums.get(name, 0.0) + float(total)
                counts[name] = counts.get(name, 0) + count
    return Scores(task.summary({name: sums[name] / counts[name] for name in sums}), counts)


def _batches(data: Data, split: str, size: int, drop_last: bool) -> Iterable[Batch]:
    if drop_last and data.sizes[split] < size:
        raise UsageError(
            f"training.eval_drop_last leaves nothing of the {data.sizes[split]} examples of {split}, because "
            f"training.eval_batch_size is {size}; lower it, or set eval_drop_last = false."
        )
    batches = data.evaluation(split, size)
    return (batch for batch in batches if len(batch.y) == size) if drop_last else batches


def check_finite(metrics: dict[str, float], task: Task, split: str, step: int) -> None:
    """Raise Diverged when the loss or the metric that validation selects by is not finite."""
    for name in dict.fromkeys(("loss", task.primary)):
        if name in metrics and not math.isfinite(metrics[name]):
            raise Diverged(f"The {name} on {split} was {metrics[name]} after step {step}, though training was finite.")


def better(score: float, best: float | None, higher_is_better: bool) -> bool:
    """Whether `score` beats the best so far; a tie keeps the earlier one."""
    return best is None or (score > best if higher_is_better else score < best)
