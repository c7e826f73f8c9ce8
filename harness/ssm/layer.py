"""One state space layer: y = K * u + D u by convolution, or the same y piece by piece or step by step.

    x_{t+1} = Abar x_t + Bbar u_t        y_t = C x_{t+1} + D u_t        K_l = C Abar^l Bbar

Legend: M sequences, H heads, L length, N state size, n = N/2 conjugate pairs.

Gu, Goel, Re 2022 (S4).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import nn

from harness.errors import UsageError
from harness.kernels.backend import Backend, Dense, Diagonal, Request, StateSpace
from harness.kernels.chunked import advance
from harness.kernels.discretize import discretize_dense, discretize_diagonal, to_dense
from harness.kernels.parts import part
from harness.kernels.vandermonde import complexes, pairs
from harness.ssm.lengths import valid
from harness.ssm.parameters import Parameters


class State(NamedTuple):
    """What the recurrence carries: x, and the discrete system it was started with."""

    x: torch.Tensor
    """(M, H, n) complex, or (M, H, N) real where the states of a head mix."""
    Abar: torch.Tensor
    """(H, n) or (H, N, N)."""
    Bbar: torch.Tensor
    """(H, n) or (H, N)."""
    C: torch.Tensor
    """(H, n), times 2 for the conjugate half, or (H, N)."""


class Layer(nn.Module):
    """K from a kernel backend, applied to u; D (H,) is the feed-through, or None."""

    def __init__(self, parameters: Parameters, backend: Backend, request: Request, D: torch.Tensor | None) -> None:
        """`request` is what the model asks of the backend; its length, dtype and device follow the input."""
        super().__init__()
        self.ssm = parameters
        self.backend = backend
        self.request = request
        self.D = None if D is None else nn.Parameter(D)

    def kernel(self, length: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """K (channels, H, L) in `dtype`; two channels when bidirectional.

        Raises Unsupported when the backend cannot run this model at this length.
        """
        ssm = self.ssm.state_space()
        return self.backend.kernel(ssm, dataclasses.replace(self._asked(1, length, dtype, ssm), application="fft"))

    def forward(self, u: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """y (M, H, L) of u (M, H, L); behind a sequence's length u counts as zero and y is unspecified."""
        if lengths is not None:
            u = u.masked_fill(~valid(lengths, u.shape[-1])[:, None], 0)
        with part("kernel"):
            ssm = self.ssm.state_space()
        with part("convolution"):
            y = self.backend.layer(u, ssm, self._asked(u.shape[0], u.shape[-1], u.dtype, ssm))
        return y if self.D is None else y + self.D[:, None] * u

    def advance(self, u: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """y (M, H, L) of the next L inputs u (M, H, L), and the state after them: a long sequence in pieces.

        Its value is that of L calls of `step`, from any state and to any length, by chunks whatever the backend.
        """
        ssm = self.ssm.state_space()
        paired = state.x.is_complex()
        x = pairs(state.x.to(torch.complex128)) if paired else state.x.double()
        y, last = advance(u, ssm, self.request.discretization, x)
        last = complexes(last) if paired else last
        return y if self.D is None else y + self.D[:, None] * u, state._replace(x=last.to(state.x.dtype))

    def _asked(self, batch: int, length: int, dtype: torch.dtype, ssm: StateSpace) -> Request:
        return dataclasses.replace(
            self.request,
            batch=batch,
            length=length,
            dtype="float64" if dtype == torch.float64 else "float32",
            device=ssm.dt.device.type,
            gradients=torch.is_grad_enabled(),
        )

    def initial_state(self, M: int, dtype: torch.dtype = torch.float32) -> State:
        """x = 0, with the system discretised in float64 and then rounded to `dtype`.

        Raises UsageError for a bidirectional layer: its output depends on inputs yet to come.
        """
        if self.request.channels == 2:
            raise UsageError(
                "A bidirectional layer has no recurrent form, because it reads inputs that are yet to come; "
                "set model.bidirectional = false, or call it on whole sequences."
            )
        ssm = self.ssm.state_space()
        if isinstance(ssm, Diagonal):
            _, Abar, Bbar = discretize_diagonal(ssm, self.request.discretization)
            C = 2 * ssm.C[0]
            dtype = torch.complex128 if dtype == torch.float64 else torch.complex64
        else:
            dense = ssm if isinstance(ssm, Dense) else to_dense(ssm)
            Abar, Bbar = discretize_dense(dense, self.request.discretization)
            C = dense.C[0]
        x = torch.zeros((M, *C.shape), dtype=dtype, device=C.device)
        return State(x, Abar.to(dtype), Bbar.to(dtype), C.to(dtype))

    def step(self, u: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """y (M, H) of u (M, H), and the state after it."""
        x, Abar, Bbar, C = state
        moved = Abar * x if Abar.ndim == 2 else torch.einsum("hij,mhj->mhi", Abar, x)
        x = moved + Bbar * u[..., None]
        y = (C * x).sum(-1).real
        return y if self.D is None else y + self.D * u, state._replace(x=x)
