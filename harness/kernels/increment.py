"""The step of a dense or DPLR system as its distance from the identity: D = Abar - 1, real, in float64.

A slow head has Abar = 1 + O(dt), and squaring a rounded Abar would lose the digits of dt; D keeps them. For DPLR and
the bilinear rule D needs no factorisation of an (N, N) matrix: with h = dt/2, E = (1 - h Lambda)^-1 and Woodbury,

    (1 - hA)^-1 = E - 2h E p (1 + 2h p^T E p)^-1 p^T E,     A = Lambda - 2 p p^T,
    D = 2 ((1 - hA)^-1 - 1) = 2h Lambda E - 4h q W^-1 s^T,   q = E p,  s = E^T p,  W = 1 + 2h p^T q

in the real form of `discretize.to_dense`, where a diagonal complex matrix multiplies pairs (re, im).

Source: the Woodbury step of S4 (Gu, Goel, Re 2022, appendix C.2), over the reals.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from harness.kernels.backend import DPLR, Dense, Discretization
from harness.kernels.discretize import to_dense


class Increment(NamedTuple):
    """x_{l+1} = x_l + D x_l + B u, y = C x: D (H, N, N), B (H, N), C (K, H, N) float64."""

    D: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor


def increment(ssm: DPLR | Dense, discretization: Discretization) -> Increment:
    """Abar - 1, Bbar and C; A may be singular in both rules."""
    if isinstance(ssm, DPLR) and discretization == "bilinear":
        return _woodbury(ssm)
    dense = to_dense(ssm) if isinstance(ssm, DPLR) else ssm
    N = dense.A.shape[-1]
    one = torch.eye(N, dtype=dense.A.dtype, device=dense.A.device)
    columns = torch.cat((dense.A, dense.B[..., None]), dim=-1) * dense.dt[:, None, None]
    if discretization == "zoh":
        # exp(dt [[A, B], [0, 0]]) = [[Abar, Bbar], [0, 1]].
        joint = torch.linalg.matrix_exp(torch.nn.functional.pad(columns, (0, 0, 0, 1)))[:, :N]
        return Increment(joint[..., :N] - one, joint[..., N], dense.C)
    joint = torch.linalg.solve(one - columns[..., :N] / 2, columns)
    return Increment(joint[..., :N], joint[..., N], dense.C)


def _woodbury(ssm: DPLR) -> Increment:
    h = ssm.dt[:, None] / 2
    E = 1 / (1 - h * ssm.A)
    q, s = _stacked(E[:, None] * ssm.P), _stacked(E.conj()[:, None] * ssm.P)
    b = 2**0.5 * _stacked(ssm.B)
    R = ssm.P.shape[1]
    W = torch.eye(R, dtype=h.dtype, device=h.device) + 2 * h[..., None] * _stacked(ssm.P) @ q.mT
    V = torch.linalg.solve(W.mT, q)
    D = -4 * h[..., None] * V.mT @ s
    _add_diagonal(D, 2 * h * ssm.A * E)
    B = 2 * h * (2**0.5 * _stacked(E * ssm.B) - 2 * h * ((s @ b[..., None]).mT @ V)[:, 0])
    return Increment(D, B, 2**0.5 * _stacked(ssm.C.conj()))


def _stacked(z: torch.Tensor) -> torch.Tensor:
    """(..., n) complex as (..., 2n) real: all real parts, then all imaginary ones."""
    return torch.cat((z.real, z.imag), dim=-1)


def _add_diagonal(D: torch.Tensor, z: torch.Tensor) -> None:
    """D (H, 2n, 2n) += [[re, -im], [im, re]] of the diagonal complex matrix z (H, n), in place."""
    n = z.shape[-1]
    D.diagonal(0, -2, -1).add_(torch.cat((z.real, z.real), dim=-1))
    D.diagonal(n, -2, -1).sub_(z.imag)
    D.diagonal(-n, -2, -1).add_(z.imag)
