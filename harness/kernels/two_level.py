"""The `two_level` backend: diagonal kernels by two small tables of powers. The algorithm is in `vandermonde.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.kernels.backend import Backend, Diagonal, Request, StateSpace

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TwoLevel(Backend):
    """Diagonal kernels: powers split in two levels, float64-anchored tables, one batched real matrix product.

    Source: the sum is that of S4D (Gu et al. 2022); powers are split a^(iJ+j) = a^(iJ) a^j.
    """

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        if request.structure == "diagonal":
            return ()
        return (
            f"The backend 'two_level' needs a diagonal A, but the structure is '{request.structure}'. "
            f"Use the backend 'krylov', or the structure 'diagonal'.",
        )

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L)."""
        self.require(request)
        assert isinstance(ssm, Diagonal)
        import torch

        from harness.kernels.discretize import discretize_diagonal
        from harness.kernels.vandermonde import vandermonde

        step = discretize_diagonal(ssm, request.discretization)
        dtype = getattr(torch, request.dtype)
        return vandermonde(ssm.C * step.B, step.log_A, request.length, dtype)
