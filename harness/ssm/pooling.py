"""From a sequence to one vector, over its true length.

    mean   y = 1/length sum_{t < length} x_t          last   y = x_{length - 1}

Legend: M sequences, L padded length, H features.
"""

from __future__ import annotations

from typing import Literal

import torch

from harness.ssm.lengths import without_padding


def pool(x: torch.Tensor, lengths: torch.Tensor | None, how: Literal["mean", "last"]) -> torch.Tensor:
    """y (M, H) of x (M, L, H); lengths (M,), or None where every sequence is whole."""
    if how == "last":
        return x[:, -1] if lengths is None else x[torch.arange(len(x), device=x.device), lengths - 1]
    if lengths is None:
        return x.mean(1)
    return without_padding(x, lengths).sum(1) / lengths[:, None]
