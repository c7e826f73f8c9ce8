"""Normalisation over features, or over the batch's true positions: padding enters no statistic, unless asked to.

Legend: M sequences, L padded length, H features.
"""

from __future__ import annotations

from typing import Any, Literal

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
        rows = x.flatten(0, 1)
        at = valid(lengths, x.shape[1]).flatten().nonzero()[:, 0]
        normed = self.norm(_Taken.apply(rows, at))  # type: ignore[no-untyped-call]
        return torch.as_tensor(_Placed.apply(normed, at, len(rows))).view_as(x)  # type: ignore[no-untyped-call]


class _Taken(torch.autograd.Function):
    """rows[at]. The rows differ, so that no gradient is summed; autograd sums, one number after another."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(at)
        ctx.size = len(rows)
        return rows[at]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (at,) = ctx.saved_tensors
        return _placed(gradient, at, ctx.size), None


class _Placed(torch.autograd.Function):
    """`size` rows that are `rows` at the places `at`, and zero elsewhere."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, at: torch.Tensor, size: int) -> torch.Tensor:
        ctx.save_for_backward(at)
        return _placed(rows, at, size)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (at,) = ctx.saved_tensors
        return gradient[at], None, None


def _placed(rows: torch.Tensor, at: torch.Tensor, size: int) -> torch.Tensor:
    full = rows.new_zeros(size, *rows.shape[1:])
    full[at] = rows
    return full
