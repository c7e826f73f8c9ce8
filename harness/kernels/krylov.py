"""Kernels of any A, diagonalisable or not, by repeated squaring and one matrix product.

With l = iJ + j, 0 <= j < J a power of two,

    K_{iJ+j} = (C M^i) (Abar^j Bbar) = Y_i X_j,   M = Abar^J,

where X and Y are doubled: X_{m..2m} = Abar^m X_{0..m} and Y_{m..2m} = Y_{0..m} M^m, the powers by squaring.
A power is kept as its distance from the identity, D_m = Abar^m - 1, so that D_2m = 2 D_m + D_m^2: a slow head has
Abar = 1 + O(dt), and squaring a rounded Abar would lose the digits of dt. HiPPO's A + A^T <= 0 makes the bilinear Abar
a contraction, so squaring is stable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.kernels.backend import DPLR, ChunkedBackend, Dense, Request, StateSpace

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Krylov(ChunkedBackend):
    """DPLR and dense kernels: repeated squaring of Abar, a two-level Krylov basis, one batched matrix product.

    Gradients for A, B, C, P and dt by autograd through the doubling, whose tables are small (2 N sqrt(L) per head).

    Source: the Krylov kernel of the official S4 code (Gu et al. 2022), with the powers in two levels.
    """

    version: ClassVar[int] = 1

    squarings: Literal["float64", "float32"] = "float64"
    """Precision of the squarings but the first three, whose rounding the others would multiply; float32 is faster."""

    def unsupported(self, request: Request) -> tuple[str, ...]:
        if request.structure != "diagonal":
            return ()
        return ("The backend 'krylov' would fill a diagonal A with zeros. Use the backend 'two_level' for it.",)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L)."""
        self.require(request)
        assert isinstance(ssm, DPLR | Dense)
        import torch

        from harness.kernels.increment import increment

        step = increment(ssm, request.discretization)
        dtype = getattr(torch, request.dtype)
        squared = torch.float32 if "float32" == request.dtype == self.squarings else torch.float64
        return krylov(step.D, step.B.to(dtype), step.C.to(dtype), request.length, squared)


def krylov(D: torch.Tensor, B: torch.Tensor, C: torch.Tensor, length: int, squared: torch.dtype) -> torch.Tensor:
    """C (1 + D)^l B for l < L: D (H, N, N) float64, squared in `squared`, B (H, N), C (K, H, N) -> (K, H, L)."""
    import torch

    K, H, N = C.shape
    J = 2 ** round(math.log2(K * length) / 2)
    I = -(-length // J)  # noqa: E741
    X = B[..., None]
    while X.shape[-1] < J:
        X = torch.cat((X, X + D.to(X.dtype) @ X), dim=-1)
        D = torch.baddbmm(D, D, D, beta=2)
        D = D.to(squared) if X.shape[-1] == 8 else D
    Y = C.transpose(0, 1)[:, :, None]
    while (m := Y.shape[2]) < I:
        rows = Y[:, :, : I - m].flatten(1, 2)
        Y = torch.cat((Y, (rows + rows @ D.to(Y.dtype)).reshape(H, K, -1, N)), dim=2)
        if 2 * m < I:
            D = torch.baddbmm(D, D, D, beta=2)
    kernel = Y.flatten(1, 2) @ X
    return kernel.reshape(H, K, I * J)[..., :length].transpose(0, 1)
