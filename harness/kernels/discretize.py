"""From x' = Ax + Bu to x_{l+1} = Abar x_l + Bbar u: zero-order hold and the bilinear rule, in float64.

With z = dt A:

    zero-order hold   Abar = exp(z)                 Bbar = dt phi(z) B,  phi(z) = (exp(z) - 1) / z
    bilinear          Abar = (1 - z/2)^-1 (1 + z/2)   Bbar = dt (1 - z/2)^-1 B

log Abar, which the diagonal kernels take powers of, is z and 2 atanh(z/2): never the logarithm of a rounded Abar.

Source: the bilinear rule as in S4 and the zero-order hold as in S4D (Gu et al. 2022, both).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from harness.kernels.backend import DPLR, Dense, Diagonal, Discretization

SERIES_BELOW = 1e-2
"""Below this |z| phi is its Taylor series: the quotient's derivative cancels to eps / |z|."""


class DiagonalStep(NamedTuple):
    """x_{l+1} = A x_l + B u elementwise: log_A, A, B (H, n) complex128."""

    log_A: torch.Tensor
    A: torch.Tensor
    B: torch.Tensor


class DenseStep(NamedTuple):
    """x_{l+1} = A x_l + B u: A (H, N, N), B (H, N) float64."""

    A: torch.Tensor
    B: torch.Tensor


def discretize_diagonal(ssm: Diagonal, discretization: Discretization) -> DiagonalStep:
    """log Abar, Abar and Bbar of every mode, (H, n) complex128; dt may be (H,) or (H, n)."""
    dt = ssm.dt if ssm.dt.ndim == 2 else ssm.dt[:, None]
    z = dt * ssm.A
    if discretization == "zoh":
        return DiagonalStep(z, torch.exp(z), dt * _phi(z) * ssm.B)
    # At z = -2 Abar is 0 and its logarithm -inf; one unit in the last place away, both are right to rounding.
    z = torch.where(z == -2, z * (1 - 2.0**-53), z)
    return DiagonalStep(_two_atanh_half(z), (1 + z / 2) / (1 - z / 2), dt * ssm.B / (1 - z / 2))


def discretize_dense(ssm: Dense, discretization: Discretization) -> DenseStep:
    """Abar (H, N, N) and Bbar (H, N) float64; A may be singular in both rules.

    The zero-order hold is read off exp(dt [[A, B], [0, 0]]) = [[Abar, Bbar], [0, 1]], which never divides
    by A.
    """
    N = ssm.A.shape[-1]
    dt = ssm.dt[:, None, None]
    columns = torch.cat((ssm.A, ssm.B[..., None]), dim=-1) * dt
    if discretization == "zoh":
        joint = torch.linalg.matrix_exp(torch.nn.functional.pad(columns, (0, 0, 0, 1)))[:, :N]
    else:
        one = torch.eye(N, dtype=ssm.A.dtype, device=ssm.A.device)
        half = columns[..., :N] / 2
        joint = torch.linalg.solve(one - half, torch.cat((one + half, columns[..., N:]), dim=-1))
    return DenseStep(joint[..., :N], joint[..., N])


def to_dense(ssm: DPLR) -> Dense:
    """The same kernel from real matrices of size N = 2n.

    Write x = (a + ib) / sqrt 2 for one half of the pairs; the other half is its conjugate, so that
    P^* x summed over both halves is 2 Re(P^* x) = sqrt 2 (Pr a + Pi b), and the real state (a, b) obeys

        A' = [[Ar, -Ai], [Ai, Ar]] - 2 sum_r [Pr; Pi] [Pr; Pi]^T,   B' = sqrt 2 [Br; Bi],   C' = sqrt 2 [Cr, -Ci].

    (a, b) is a unitary change of basis of the pair (x, conj x): norms, and so contractions, are kept.
    """
    Ar, Ai = torch.diag_embed(ssm.A.real), torch.diag_embed(ssm.A.imag)
    normal = torch.cat((torch.cat((Ar, -Ai), dim=-1), torch.cat((Ai, Ar), dim=-1)), dim=-2)
    P = torch.cat((ssm.P.real, ssm.P.imag), dim=-1)
    A = normal - 2 * P.transpose(-1, -2) @ P
    B = 2**0.5 * torch.cat((ssm.B.real, ssm.B.imag), dim=-1)
    C = 2**0.5 * torch.cat((ssm.C.real, -ssm.C.imag), dim=-1)
    return Dense(A, B, C, ssm.dt)


def _phi(z: torch.Tensor) -> torch.Tensor:
    """(exp(z) - 1) / z, by expm1 so that nothing cancels, and 1 + z/2 + z^2/6 + ... near 0."""
    near = z.detach().abs() < SERIES_BELOW
    series = torch.ones_like(z)
    for k in range(7, 1, -1):
        series = 1 + z / k * series
    away = torch.where(near, torch.ones_like(z), z)
    x, y = away.real, away.imag
    expm1 = torch.complex(torch.expm1(x) * torch.cos(y) - 2 * torch.sin(y / 2) ** 2, torch.exp(x) * torch.sin(y))
    return torch.where(near, series, expm1 / away)


def _two_atanh_half(z: torch.Tensor) -> torch.Tensor:
    """2 atanh(z/2) = log((1 + z/2) / (1 - z/2)) with u + iv = z/2, accurate near 0 and near -2."""
    u, v = z.real / 2, z.imag / 2
    after, before = (1 + u) ** 2 + v**2, (1 - u) ** 2 + v**2
    excess = 4 * u / before
    small = excess > -0.5
    modulus = torch.where(small, torch.log1p(torch.where(small, excess, 0.0)), torch.log(after / before)) / 2
    return torch.complex(modulus, torch.atan2(2 * v, (1 - u) * (1 + u) - v**2))
