"""The `two_level` backend: diagonal kernels by two small tables of powers. The algorithm is in `vandermonde.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.kernels.backend import DPLR, ChunkedBackend, Diagonal, Request, StateSpace

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TwoLevel(ChunkedBackend):
    """Diagonal kernels: powers split in two levels, float64-anchored tables, one batched real matrix product.

    A DPLR system whose A is frozen and has well-conditioned eigenvectors (FouT) is diagonalised first: the same kernel,
    with gradients for B, C and dt.

    Source: the sum is that of S4D (Gu et al. 2022); powers are split a^(iJ+j) = a^(iJ) a^j.
    """

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        if request.structure == "diagonal" or (request.structure == "dplr" and request.diagonalisable):
            return ()
        return (
            f"The backend 'two_level' needs a diagonal A, but the structure is '{request.structure}'. "
            f"Use the backend 'krylov', or the structure 'diagonal'; of the dplr bases it serves FouT, "
            f"with model.train_A = false.",
        )

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L)."""
        self.require(request)
        import torch

        from harness.kernels.discretize import discretize_diagonal
        from harness.kernels.vandermonde import vandermonde

        diagonal = self.form(ssm)
        step = discretize_diagonal(diagonal, request.discretization)
        dtype = getattr(torch, request.dtype)
        return vandermonde(diagonal.C * step.B, step.log_A, request.length, dtype)

    def form(self, ssm: StateSpace) -> Diagonal:
        """`ssm` where it is diagonal, else its eigenvectors' coordinates."""
        if isinstance(ssm, DPLR):
            from harness.kernels.eigen import diagonal_form

            return diagonal_form(ssm)
        assert isinstance(ssm, Diagonal)
        return ssm
