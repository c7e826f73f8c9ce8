"""The tables of a chunk of Q steps, from the parameters: what `chunked.py` multiplies with.

    diagonal    E_j = Bbar exp((Q-1-j) x),   O_i = 2 C exp((i+1) x),   Abar^Q = exp(Q x),   x = log Abar
    dense       X = (Bbar, Abar Bbar, ...) and Y = (C Abar, C Abar^2, ...) by doubling, as in `krylov.py`

T_ji = K_{i-j} is the kernel of length Q as a Toeplitz matrix. All powers are formed in float64 and rounded once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from harness.kernels.backend import DPLR, Dense, Diagonal, Discretization, StateSpace
from harness.kernels.discretize import discretize_diagonal
from harness.kernels.increment import increment
from harness.kernels.vandermonde import complexes, pairs, powers, vandermonde


class Tables(NamedTuple):
    """The constants of one direction, in the compute dtype."""

    T: torch.Tensor
    """(H, Q, Q)."""
    E: torch.Tensor
    """(H, Q, S)."""
    O: torch.Tensor  # noqa: E741
    """(H, S, Q)."""
    A: torch.Tensor
    """Abar^Q in double precision: (H, n) complex for a diagonal A, (H, N, N) real for a dense one."""


def tables(ssm: StateSpace, discretization: Discretization, Q: int, dtype: torch.dtype) -> list[Tables]:
    """One for each channel, in `dtype`; Q is a power of two."""
    if isinstance(ssm, Diagonal):
        return _diagonal(ssm, discretization, Q, dtype)
    return _dense(ssm, discretization, Q, dtype)


def power(ssm: StateSpace, discretization: Discretization, steps: int) -> torch.Tensor:
    """Abar^steps in double precision, shaped as `Tables.A`."""
    if isinstance(ssm, Diagonal):
        return torch.exp(steps * discretize_diagonal(ssm, discretization).log_A)
    D = increment(ssm, discretization).D
    moved: torch.Tensor = torch.linalg.matrix_power(torch.eye(D.shape[-1], dtype=D.dtype, device=D.device) + D, steps)
    return moved


def toeplitz(K: torch.Tensor) -> torch.Tensor:
    """T (H, Q, Q) with T_ji = K_{i-j} for i >= j, else 0, of K (H, Q)."""
    Q = K.shape[-1]
    return torch.nn.functional.pad(K, (Q - 1, 0)).unfold(-1, Q, 1).flip(1)


def _diagonal(ssm: Diagonal, discretization: Discretization, Q: int, dtype: torch.dtype) -> list[Tables]:
    step = discretize_diagonal(ssm, discretization)
    kernels = vandermonde(ssm.C * step.B, step.log_A, Q, dtype)
    A = torch.exp(Q * step.log_A)
    E = pairs(_powers(step.log_A, step.B, Q, dtype)).flip(1)
    return [
        Tables(toeplitz(K), E, pairs(_powers(step.log_A, 2 * C * step.A, Q, dtype).conj()).mT, A)
        for K, C in zip(kernels, ssm.C, strict=True)
    ]


def _dense(ssm: DPLR | Dense, discretization: Discretization, Q: int, dtype: torch.dtype) -> list[Tables]:
    step = increment(ssm, discretization)
    D, C = step.D, step.C.transpose(0, 1)
    X, Y = step.B[..., None].to(dtype), (C + C @ D).to(dtype)[:, :, None]
    for _ in range(Q.bit_length() - 1):
        P = D.to(dtype)
        X = torch.cat((X, X + P @ X), dim=-1)
        rows = Y.flatten(1, 2)
        Y = torch.cat((Y, (rows + rows @ P).view_as(Y)), dim=2)
        D = torch.baddbmm(D, D, D, beta=2)
    one = torch.eye(D.shape[-1], dtype=D.dtype, device=D.device)
    E = X.flip(-1).mT
    kernels = C.to(dtype) @ X
    return [Tables(toeplitz(kernels[:, k]), E, Y[:, k].mT, one + D) for k in range(C.shape[1])]


class _Powers(torch.autograd.Function):
    """w exp(j x) for j < count: w, x (H, n) complex128 -> (H, count, n) complex of `dtype`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, count: int, dtype: torch.dtype) -> torch.Tensor:
        ctx.save_for_backward(x, w)
        return powers(x, 1, count, dtype) * w[:, None].to(dtype.to_complex())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        """dw = sum_j conj(exp(j x)) G_j and dx = conj(w) sum_j j conj(exp(j x)) G_j."""
        x, w = ctx.saved_tensors
        count, dtype = G.shape[1], G.real.dtype
        j = torch.arange(count, dtype=dtype, device=x.device)
        terms = torch.view_as_real(powers(x, 1, count, dtype).conj() * G).flatten(2)
        sums = torch.stack((torch.ones_like(j), j)) @ terms
        dw, dx = complexes(sums).to(w.dtype).unbind(1)
        return w.conj() * dx, dw, None, None


def _powers(x: torch.Tensor, w: torch.Tensor, count: int, dtype: torch.dtype) -> torch.Tensor:
    made: torch.Tensor = _Powers.apply(x, w, count, dtype)  # type: ignore[no-untyped-call]
    return made
