"""What a model's state space looks like before and after training: its windows, step sizes and kernels."""

from __future__ import annotations

from typing import Any

import torch

from harness.ssm.model import Model
from harness.training.journal import Journal

HEADS = 4
"""Kernels recorded, of evenly spaced heads of the first layer."""
SAMPLES = 512
"""Samples recorded of each kernel, evenly spaced over the sequence; `kernel/steps` holds their positions."""
DT_HEADS = 64
"""Step sizes recorded of each layer, of evenly spaced heads."""


@torch.no_grad()
def portray(model: Model, length: int, journal: Journal, *, split: str, step: int) -> None:
    """Emit quantiles of the windows 2/dt as metrics of `split`, "init" or "final", and dt and the kernels as arrays.

    `dt/...` is (layers, heads), or (layers, heads, N/2) where every state has its own; `kernel/...` is (heads, samples)
    of the causal channel. Arrays are called "initial" and "final".
    """
    for name, value in model.windows(length).items():
        journal.metric(name, value, step=step, split=split, unit="" if name == "window_over_length" else "steps")
    moment = "initial" if split == "init" else split
    dt = [_plain(layer.cpu()[_spread(len(layer), DT_HEADS)]) for layer in model.step_sizes()]
    journal.array(f"dt/{moment}", dt)
    kernel = model.layers[0].kernel(length)[0].cpu()
    steps = _spread(length, SAMPLES)
    if split == "init":
        journal.array("kernel/steps", steps.tolist())
    journal.array(f"kernel/{moment}", _plain(kernel[_spread(len(kernel), HEADS)][:, steps]))


def _spread(size: int, count: int) -> torch.Tensor:
    """At most `count` indices below `size`, evenly spaced, both ends among them."""
    return torch.linspace(0, size - 1, min(size, count), dtype=torch.float64).round().long()


def _plain(values: torch.Tensor) -> Any:
    """Nested lists, six significant digits each: records are kept for good, and these are for the eye."""
    return float(f"{values:.6g}") if values.ndim == 0 else [_plain(value) for value in values]
