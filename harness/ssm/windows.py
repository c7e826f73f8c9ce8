"""How far back the heads look: the window 2/dt in steps, that of a basis with E[measure] = 1.

Gu et al. 2022, "How to Train Your HiPPO": dt sets the length scale; their code's windowed bases live on [0, 2].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def windows(dt: Sequence[torch.Tensor], length: int) -> dict[str, float]:
    """`window_q05` ... `window_q95` in steps, and `window_over_length`, the share of windows longer than `length`.

    `dt` holds one tensor for each layer, of any shape; all heads (and states, where each has its dt) count alike.
    """
    window = 2 / torch.cat([layer.detach().flatten().double() for layer in dt])
    q = torch.quantile(window, torch.tensor(QUANTILES, dtype=torch.float64, device=window.device))
    named = {f"window_q{round(100 * share):02d}": float(value) for share, value in zip(QUANTILES, q, strict=True)}
    return {**named, "window_over_length": float((window > length).double().mean())}
