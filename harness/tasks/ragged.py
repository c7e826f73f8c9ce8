"""Token sequences of many lengths, stored one after another, and padded batches of them without a loop.

Legend: n examples, T tokens in all, M rows of a batch, L the longest of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Ragged:
    """Row i is tokens[starts[i] : starts[i] + lengths[i]]; starts and lengths are (n,), or (n, 2) for pairs.

    Starts and lengths stay on the host, so that the width of a batch is known there without waiting for a device.
    """

    tokens: torch.Tensor
    """(T,), any integers; rows may share them."""
    starts: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def of(cls, tokens: torch.Tensor, lengths: torch.Tensor) -> Ragged:
        """Rows of `lengths` (n,), one behind the other."""
        return cls(tokens, lengths.cumsum(0) - lengths, lengths)

    def rows(self, index: torch.Tensor) -> Ragged:
        """The rows at `index` (m,) or (m, 2), in that order, over the same tokens."""
        return Ragged(self.tokens, self.starts[index], self.lengths[index])

    def __getitem__(self, rows: torch.Tensor | slice) -> torch.Tensor:
        """The rows as int64 (M, L) or (M, 2, L), zero behind each length; L is the longest among them."""
        device = self.tokens.device
        lengths = self.lengths[rows]
        steps = torch.arange(int(lengths.max()), device=device)
        inside = steps < lengths.to(device).unsqueeze(-1)
        place = (self.starts[rows].to(device).unsqueeze(-1) + steps).masked_fill_(~inside, 0)
        return self.tokens[place].long().masked_fill_(~inside, 0)
