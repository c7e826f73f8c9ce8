"""Normalisation over features, or over the batch's true positions: padding enters no statistic, unless asked to.

Legend: M sequences, L padded length, H features.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from harness.ssm.lengths import valid


class Norm(nn.Module):
    """Batch, layer or no normalisation of x (M, L, H); the first two with a scale and a shift for each feature."""

    def __init__(self, kind: Literal["batch", "layer", "none"], H: int, over_padding: bool = False) -> None:
        """`over_padding` gives padded positions a part in batch statistics, as the official code does."""
        super().__init__()
        kinds = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
        self.over_batch, self.over_padding = kind == "batch", over_padding
        self.norm = kinds[kind](H) if kind in kinds else nn.Identity()

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The normalised x (M, L, H); after batch normalisation over true positions the padded ones are zero."""
        if not self.over_batch:
            return torch.as_tensor(self.norm(x))
        if lengths is None or self.over_padding:
            return torch.as_tensor(self.norm(x.flatten(0, 1))).view_as(x)
        mask = valid(lengths, x.shape[1])
        return torch.zeros_like(x).masked_scatter(mask[..., None], self.norm(x[mask]))
