"""Dropout with one mask for the whole of a sequence: a feature is dropped at every position or at none.

    y_tf = x_tf m_f / (1 - p),  m_f ~ Bernoulli(1 - p)

Tompson et al. 2015 (spatial dropout); `tie_dropout` of the official S4 code.
"""

from __future__ import annotations

import torch
from torch import nn


class TiedDropout(nn.Module):
    """x (M, L, H) to the same shape; draws M x H times from torch's global generator in training, else not at all."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The masked x, scaled so that its mean stays."""
        if not (self.training and self.p):
            return x
        kept = torch.rand(len(x), 1, x.shape[-1], device=x.device) < 1 - self.p
        # The scale goes into the mask, which is small; bfloat16 would round it, and all that it scales, the same way.
        return x * (kept.to(torch.promote_types(x.dtype, torch.float32)) / (1 - self.p))
