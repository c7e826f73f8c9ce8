"""Initial weights from explicit generators, so that a model's draws depend on nothing but its seed and shapes.

The ranges are torch's own defaults: U(-1/sqrt(d), 1/sqrt(d)) for linear layers of d inputs, N(0, 1) for embeddings.
"""

from __future__ import annotations

import torch
from torch import nn

from harness.randomness import stream


def generator(seed: int, purpose: str) -> torch.Generator:
    """The generator of a named stream of the trial's seed."""
    return torch.Generator().manual_seed(stream(seed, purpose))


def split(parent: torch.Generator, count: int) -> list[torch.Generator]:
    """Independent generators, one for each component, so that the size of one does not move the draws of the next."""
    seeds = torch.randint(2**62, (count,), generator=parent)
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def linear(d_in: int, d_out: int, source: torch.Generator) -> nn.Linear:
    """W (d_out, d_in) and b (d_out,)."""
    made = nn.Linear(d_in, d_out, device="meta").to_empty(device="cpu")
    bound = d_in**-0.5
    for parameter in made.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=source)
    return made


def embedding(size: int, d: int, source: torch.Generator) -> nn.Embedding:
    """One vector (d,) for each of `size` tokens."""
    made = nn.Embedding(size, d, device="meta").to_empty(device="cpu")
    nn.init.normal_(made.weight, generator=source)
    return made
