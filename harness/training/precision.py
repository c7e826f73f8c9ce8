"""The precision of a forward pass: all of it in float32, or the linear layers in bfloat16.

    float32        everything
    bf16-linear    encoder, channel mixing and head multiply in bfloat16 and add in float32; the residual stream, norms,
                   kernels, convolutions, loss and parameters stay float32 (the state space itself float64, as always)

The block switches autocast off around its state space layer. Micikevicius et al. 2018, "Mixed Precision Training".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from harness.tasks.task import Batch


def forward(model: nn.Module, batch: Batch, precision: Literal["float32", "bf16-linear"]) -> torch.Tensor:
    """The model's outputs, float32 at least."""
    if precision == "float32":
        return torch.as_tensor(model(batch.x, batch.lengths))
    with torch.autocast(batch.x.device.type, dtype=torch.bfloat16):
        return torch.as_tensor(model(batch.x, batch.lengths)).float()
