"""Where the residual stream and the state space stay float32 although linear layers ran in bfloat16 under autocast."""

from __future__ import annotations

import torch


def widened(x: torch.Tensor) -> torch.Tensor:
    """x, as float32 where it is bfloat16."""
    return x.float() if x.dtype == torch.bfloat16 else x
