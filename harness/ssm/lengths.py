"""True lengths in a padded batch. A sequence's result depends on nothing behind its length, nor on how much is there.

Legend: M sequences, L padded length; lengths (M,) int64 with 1 <= length <= L, or None where nothing is padded.
"""

from __future__ import annotations

import torch


def valid(lengths: torch.Tensor, L: int) -> torch.Tensor:
    """True where a position t < length; (M, L) bool."""
    return torch.arange(L, device=lengths.device) < lengths[:, None]


def without_padding(x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """x (M, L) or (M, L, d) with zeros behind each length, whatever was there (NaN included)."""
    if lengths is None:
        return x
    mask = valid(lengths, x.shape[1])
    return x.masked_fill(~(mask if x.ndim == 2 else mask[..., None]), 0)


def check_lengths(lengths: torch.Tensor, L: int) -> None:
    """Raise ValueError unless every length is in 1..L: a task that says otherwise has a fault."""
    if bool((lengths < 1).any()) or bool((lengths > L).any()):
        raise ValueError(f"Lengths run from {int(lengths.min())} to {int(lengths.max())} in a batch of length {L}.")
