"""S4's route: a DPLR kernel by its generating function on the unit circle, Cauchy sums and an inverse FFT.

At w = exp(-2 pi i k / L) = exp(-2 i theta) the bilinear rule gives, with Z = dt A and (c, s) = (cos, sin) theta,

    Khat(w) = C~ (1 - w Abar)^-1 Bbar = (c + is) C~ (2is - c Z)^-1 dt B.

Homogeneous nodes (c, s) have no pole at w = -1, where S4's z = 2 (1 - w) / (1 + w) = 2is/c is infinite. With
Z = D - dt P P^*, D = dt Lambda, every bilinear form of the resolvent R = (2is - c D)^-1 is a Cauchy sum over pairs,

    g_ab = sum_n  v_n / (2is - c d_n) + conj(v_n) / (2is - c conj d_n),   v = dt a b,  a in {C~, P^*},  b in {B, P},

and Sherman-Morrison once for each column of P takes R to the resolvent of Z.

In the requested precision the sums are ill-conditioned where Lambda is imaginary (LegT, FouT): a pole on the circle
makes R large and the low rank takes it away again. Source: Gu, Goel, Re 2022, "Efficiently Modeling Long Sequences
with Structured State Spaces", algorithm 1 and appendix C.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from harness.kernels.backend import DPLR, Request
from harness.kernels.truncation import truncate


class Nodes(NamedTuple):
    """w_k for k = 1 ... L // 2: the resolvent at a node is (y - c Z)^-1, times `front`. c real, the others complex."""

    c: torch.Tensor
    y: torch.Tensor
    front: torch.Tensor


Sums = Callable[[torch.Tensor, torch.Tensor, Nodes], torch.Tensor]
"""g (J, H, F) of v (J, H, n), d (H, n) and F nodes, all complex: the Cauchy sums over conjugate pairs."""


def homogeneous(length: int, dtype: torch.dtype, device: torch.device) -> Nodes:
    """(c, 2is, c + is), formed in float64 and rounded to complex `dtype`."""
    theta = torch.pi / length * torch.arange(1, length // 2 + 1, dtype=torch.float64, device=device)
    c, s = torch.cos(theta), torch.sin(theta)
    c = torch.where(2 * torch.arange(1, len(c) + 1, device=device) == length, 0.0, c)
    y, front = torch.complex(torch.zeros_like(s), 2 * s), torch.complex(c, s)
    return Nodes(c.to(dtype.to_real()), y.to(dtype), front.to(dtype))


def generating(
    ssm: DPLR, request: Request, sums: Sums, nodes: Callable[[int, torch.dtype, torch.device], Nodes] = homogeneous
) -> torch.Tensor:
    """K (channels, H, L) in `request.dtype`, the Cauchy sums by `sums`."""
    real = getattr(torch, request.dtype)
    dtype, L = real.to_complex(), request.length
    C, total = truncate(ssm, L)
    spectrum = total[..., None].to(dtype)
    if L > 1:
        at = nodes(L, dtype, ssm.A.device)
        rows = torch.cat((C, ssm.P.conj().transpose(0, 1)))
        columns = torch.cat((ssm.B[None], ssm.P.transpose(0, 1)))
        v = ssm.dt[:, None] * rows[:, None] * columns
        g = sums(v.flatten(0, 1).to(dtype), _off_the_circle((ssm.dt[:, None] * ssm.A).to(dtype)), at)
        g = g.view(len(rows), len(columns), *g.shape[1:])
        spectrum = torch.cat((spectrum, at.front * woodbury(g, at.c)), dim=-1)
    kernel: torch.Tensor = torch.fft.irfft(spectrum, n=L)
    return kernel


def woodbury(g: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """C~ (y - c Z)^-1 dt B (K, H, F) of the sums g (K+R, 1+R, H, F), one rank at a time, the last first.

    For a damped or undamped D the real part of p^* R p is at least 0 on the circle, so no pivot is below 1.
    """
    while g.shape[1] > 1:
        row, column = g[-1:, :-1], g[:-1, -1:]
        g = g[:-1, :-1] - c / (1 + c * g[-1, -1]) * row * column
    return g[:, 0]


def _off_the_circle(d: torch.Tensor) -> torch.Tensor:
    """d (H, n), its damping at least half a unit in the last place of |d|: an undamped pole can meet a node exactly."""
    least = d.detach().abs() * torch.finfo(d.real.dtype).eps / 2
    lacking = torch.where(d.detach().real.abs() < least, -least - d.detach().real, 0.0)
    return d + lacking
