"""The specification: plain sums and the sequential recurrence, slow and readable; every fast backend answers to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.kernels.backend import DPLR, Backend, Diagonal, Discretization, Request, StateSpace

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Reference(Backend):
    """Plain sums (diagonal) and the sequential recurrence (dplr, dense), in the requested precision.

    The diagonal sum is the naive form S4D is published with: it materialises (H, n, L) complex exponentials,
    and in float32 rounds l log Abar, which costs about l |Im log Abar| 2^-24 on undamped modes.

    Source: S4D (Gu et al. 2022); the recurrence is the definition of the model.
    """

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return self.whole_kernels_only(request)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L): K_l = 2 Re sum_n C_n Bbar_n exp(l log Abar_n), or C Abar^l Bbar step by step."""
        self.require(request)
        import torch

        from harness.kernels.discretize import discretize_dense, discretize_diagonal, to_dense

        dtype = getattr(torch, request.dtype)
        if isinstance(ssm, Diagonal):
            step = discretize_diagonal(ssm, request.discretization)
            l = torch.arange(request.length, dtype=dtype, device=ssm.A.device)  # noqa: E741
            w, x = (ssm.C * step.B).to(dtype.to_complex()), step.log_A.to(dtype.to_complex())
            return 2 * torch.einsum("khn,hnl->khl", w, torch.exp(x[..., None] * l)).real
        dense = to_dense(ssm) if isinstance(ssm, DPLR) else ssm
        A, B = discretize_dense(dense, request.discretization)
        return _steps(A.to(dtype), B.to(dtype), dense.C.to(dtype), request.length)


def recurrence(ssm: StateSpace, discretization: Discretization, length: int) -> torch.Tensor:
    """K (channels, H, L) float64 by x_0 = Bbar, x_{l+1} = Abar x_l, K_l = C x_l: what errors are measured against."""
    import torch

    from harness.kernels.discretize import discretize_dense, discretize_diagonal, to_dense

    if isinstance(ssm, Diagonal):
        step = discretize_diagonal(ssm, discretization)
        states = [step.B]
        for _ in range(length - 1):
            states.append(step.A * states[-1])
        return 2 * torch.einsum("khn,lhn->khl", ssm.C, torch.stack(states)).real
    dense = to_dense(ssm) if isinstance(ssm, DPLR) else ssm
    A, B = discretize_dense(dense, discretization)
    return _steps(A, B, dense.C, length)


def _steps(A: torch.Tensor, B: torch.Tensor, C: torch.Tensor, length: int) -> torch.Tensor:
    import torch

    states = [B[..., None]]
    for _ in range(length - 1):
        states.append(A @ states[-1])
    return (C.transpose(0, 1) @ torch.cat(states, dim=-1)).transpose(0, 1)
