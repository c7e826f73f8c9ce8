"""The head of tasks that compare two sequences, both encoded by the same weights.

    y = W2 gelu(W1 [a, b, a - b, a * b] + b1) + b2        W1 (H, 4H), W2 (K, H)

Legend: M pairs, H features, K outputs; a, b (M, H) the pooled features of the first and the second sequence.

Source: the retrieval head of the official S4 code (Gu et al. 2022), after Xiong et al. 2021 (Nystromformer).
"""

from __future__ import annotations

import torch
from torch import nn

from harness.ssm.seeded import linear


class PairHead(nn.Module):
    """y (M, K) of the features (2M, H) of a first sequence, its second, the next pair's first, and so on."""

    def __init__(self, H: int, K: int, source: torch.Generator) -> None:
        super().__init__()
        self.mix = nn.Sequential(linear(4 * H, H, source), nn.GELU(), linear(H, K, source))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        a, b = features[0::2], features[1::2]
        return torch.as_tensor(self.mix(torch.cat([a, b, a - b, a * b], dim=-1)))
