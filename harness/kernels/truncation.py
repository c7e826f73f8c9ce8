"""The generating function of the first L steps: C~ and the value at 1, in float64, by repeated squaring.

    Khat(w) = sum_{l<L} K_l w^l = C~ (1 - w Abar)^-1 Bbar,   C~ = C (1 - Abar^L),   at every w with w^L = 1

and at w = 1, where 1 - Abar may be singular (FouT has a state without input), the sum itself,

    Khat(1) = C S_L Bbar,   S_L = 1 + Abar + ... + Abar^(L-1),   S_2m = S_m + Abar^m S_m.

L is taken bit by bit, S_{l+m} = S_l + Abar^l S_m, and a power is kept as D_m = Abar^m - 1, as in `krylov.py`.

Source: C~ is that of S4 (Gu, Goel, Re 2022, section 3.2), whose official code trains it in the place of C.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from harness.kernels.backend import DPLR
from harness.kernels.increment import increment


class Truncation(NamedTuple):
    C: torch.Tensor
    """C~ (K, H, n) complex128."""
    total: torch.Tensor
    """Khat(1) (K, H) float64: the sum of the kernel."""


def truncate(ssm: DPLR, length: int) -> Truncation:
    """C~ and Khat(1) of the bilinear rule, differentiable in every parameter; 2 N^3 log2 L operations a head."""
    D, B, C = increment(ssm, "bilinear")
    C, S = C.transpose(0, 1), B[..., None]
    moved = torch.zeros_like(C)  # C (Abar^l - 1)
    total = C.new_zeros(*C.shape[:2], 1)
    while True:
        length, bit = divmod(length, 2)
        if bit:
            total = total + (C + moved) @ S
            moved = moved + (C + moved) @ D
        if not length:
            break
        S = 2 * S + D @ S
        D = torch.baddbmm(D, D, D, beta=2)
    real, imag = (-moved / 2**0.5).transpose(0, 1).chunk(2, dim=-1)
    return Truncation(torch.complex(real, -imag), total[..., 0].T)
