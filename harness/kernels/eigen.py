"""A frozen DPLR system in the coordinates of its eigenvectors: a diagonal one with the same kernel.

    A = V diag(Lambda) V^-1     C e^(tA) B = 2 Re sum_j (C V)_j e^(t Lambda_j) (V^-1 B)_j  over Im Lambda_j >= 0,

a real eigenvalue counted half. It is exact for FouT, whose eigenvectors have condition 41 at N = 64 and 138 at N = 256;
those of LegS and LegT pass 1e13 at N = 32. The eigenvalues are constants: training them would not be training DPLR.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch

from harness.errors import Unsupported
from harness.kernels.backend import DPLR, Diagonal
from harness.kernels.discretize import to_dense

WORST_CONDITION = 1e4
"""Of the eigenvectors: float64 then leaves 12 digits, far more than a float32 kernel shows."""


class Eigen(NamedTuple):
    """Lambda (m,), V (N, m) with the halves in it, and V^-1 (m, N), of one head."""

    Lambda: torch.Tensor
    V: torch.Tensor
    inverse: torch.Tensor


def diagonal_form(ssm: DPLR) -> Diagonal:
    """The same kernel from m modes, N/2 <= m <= N; differentiable in B, C and dt.

    Raises Unsupported when A or P is trained, or where the eigenvectors are ill-conditioned.
    """
    if ssm.A.requires_grad or ssm.P.requires_grad:
        raise Unsupported(
            ("A trained A has no fixed eigenvectors. Set model.train_A = false, or use the backend 'krylov'.",)
        )
    rows = torch.cat((ssm.A[:, None], ssm.P), dim=1).detach().cpu()
    # Copies of one basis are alike, so that one decomposition serves every head.
    alike = bool((rows == rows[:1]).all())
    found = [_eigen(row.numpy().tobytes(), *row.shape) for row in (rows[:1] if alike else rows)]
    Lambda, V, inverse = (torch.stack(part).to(ssm.A.device) for part in zip(*found, strict=True))
    real = 2**0.5 * torch.cat((ssm.B.real, ssm.B.imag), dim=-1)
    B = (inverse @ real[..., None].to(inverse.dtype))[..., 0]
    C = 2**0.5 * torch.cat((ssm.C.real, -ssm.C.imag), dim=-1).to(V.dtype)
    return Diagonal(Lambda.expand_as(B), B, (C[..., None, :] @ V)[..., 0, :], ssm.dt)


@functools.lru_cache(maxsize=1024)
def _eigen(content: bytes, rows: int, n: int) -> Eigen:
    """Of one head: A and P as bytes, so that the decomposition is made once for a model, not at every step."""
    both = torch.frombuffer(bytearray(content), dtype=torch.complex128).view(rows, n)
    A, P = both[:1], both[1:]
    empty = A.new_zeros(1, n)
    dense = to_dense(DPLR(A, empty, P[None], empty[None], torch.ones(1, dtype=torch.float64))).A[0]
    Lambda, V = torch.linalg.eig(dense)
    condition = float(torch.linalg.cond(V))
    if not condition <= WORST_CONDITION:
        raise Unsupported(
            (f"The eigenvectors of this DPLR system have condition {condition:.1e}. Use the backend 'krylov' for it.",)
        )
    rounding = 64 * torch.finfo(torch.float64).eps * condition * torch.linalg.matrix_norm(dense, 2)
    if bool((V * Lambda @ torch.linalg.inv(V) - dense).abs().max() > rounding):
        raise ArithmeticError("The eigenvectors do not rebuild A within rounding.")
    kept = Lambda.imag >= 0
    halves = torch.where(Lambda.imag == 0, 0.5, 1.0)
    return Eigen(Lambda[kept], (V * halves)[:, kept], torch.linalg.inv(V)[kept])
