"""One residual block: norm, state space layer, activation, channel mixing.

    prenorm    x + f(norm(x))        postnorm   norm(x + f(x))
    f(x) = drop(mix(drop(act(drop'(layer(x))))))      mix = GLU(W x + b), W (2H, H), or W x + b, W (H, H)

Gu et al. 2022 (S4D and "How to Train Your HiPPO"), block of the official code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from harness.kernels.parts import part
from harness.ssm.config import S4
from harness.ssm.dropout import TiedDropout
from harness.ssm.layer import Layer
from harness.ssm.norm import Norm
from harness.ssm.precision import widened


class Block(nn.Module):
    """x (M, L, H) to the same shape. Dropout draws from torch's global generator, which its caller seeds."""

    def __init__(self, config: S4, layer: Layer, mix: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.norm = Norm(config.norm, config.d_model, config.norm_over_padding)
        self.prenorm, self.residual = config.prenorm, config.residual
        self.activation = nn.GELU() if config.activation == "gelu" else nn.Identity()
        self.mix = nn.Sequential(mix, nn.GLU()) if config.glu else nn.Sequential(mix)
        self.dropout = (TiedDropout if config.tie_dropout else nn.Dropout)(config.dropout)
        self.dropout_convolution = nn.Dropout(config.dropout_convolution)
        self.compiled: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
        """What runs in the place of `mixed`."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The block's output; positions behind a sequence's length are unspecified and reach no other."""
        y = self.norm(x, lengths) if self.prenorm else x
        with torch.autocast(y.device.type, enabled=False):
            y = self.layer(widened(y).transpose(1, 2), lengths).transpose(1, 2)
        # What follows is several times slower, backward most of all, on the transpose of a (M, H, L) in memory.
        y = y.contiguous()
        with part("compiled" if self.compiled else "elementwise"):
            y = (self.compiled or self.mixed)(x, y)
        return y if self.prenorm else torch.as_tensor(self.norm(y, lengths))

    def mixed(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """What follows the state space layer, but for a norm: of the block's input x and the layer's output y."""
        y = self.dropout(self.mix(self.dropout(self.activation(self.dropout_convolution(y)))))
        return x + y if self.residual else torch.as_tensor(y)
