"""The parameters of one layer's state space model; frozen ones are buffers, in the checkpoint but without gradient.

Legend: S copies (n_ssm), H heads, K channels, N state size, n = N/2 conjugate pairs, R rank. Everything is kept in
float64, complex values as (..., 2); head h reads copy h // (H/S), so a copy serves a contiguous block of heads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from harness.bases.basis import Basis
from harness.kernels.backend import DPLR, Dense, Diagonal, StateSpace
from harness.ssm.config import S4
from harness.ssm.initial import initial_dense, initial_pairs
from harness.ssm.real_part import real_part, stored
from harness.ssm.timescale import LogUniform


class Parameters(nn.Module, ABC):
    """A, B, (P,) C and dt of one layer."""

    dt: torch.Tensor

    def __init__(self, config: S4, timescale: LogUniform, u: torch.Tensor) -> None:
        super().__init__()
        self.timescale = timescale
        self.heads_per_copy = config.d_model // config.copies
        self._hold("dt", timescale.initial(u), config.train_dt)

    @abstractmethod
    def state_space(self) -> StateSpace:
        """The model in complex128 or float64, one row for each head, differentiable in what is trained."""

    def step_sizes(self) -> torch.Tensor:
        """dt (H,) or (H, n) float64, differentiable where dt is trained."""
        return self.timescale.dt(self.dt)

    def trained(self) -> dict[str, list[nn.Parameter]]:
        """The trained parameters behind "A", "B", "P" and "dt", which the optimiser treats apart."""
        found: dict[str, list[nn.Parameter]] = {"A": [], "B": [], "P": [], "dt": []}
        for name, parameter in self.named_parameters():
            if (group := name.partition("_")[0]) in found:
                found[group].append(parameter)
        return found

    def _hold(self, name: str, value: torch.Tensor, train: bool) -> None:
        value = torch.view_as_real(value).contiguous() if value.is_complex() else value.clone()
        if train:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    def _heads(self, value: torch.Tensor) -> torch.Tensor:
        return value.repeat_interleave(self.heads_per_copy, dim=0)


class PairParameters(Parameters):
    """`dplr` and `diagonal`: A as (A_re, A_im) (S, n), B (S, n), P (S, R, n) for dplr, C (K, H, n)."""

    A_re: torch.Tensor
    A_im: torch.Tensor
    damped: torch.Tensor
    B: torch.Tensor
    P: torch.Tensor
    C: torch.Tensor

    def __init__(self, config: S4, basis: Basis, timescale: LogUniform, normals: torch.Tensor, u: torch.Tensor) -> None:
        super().__init__(config, timescale, u)
        initial = initial_pairs(config, basis)
        A = torch.from_numpy(initial.A)
        re = A.real if config.real_floor is None else A.real.clamp(max=-config.real_floor)
        p, damped = stored(re, A.abs().amax(-1, keepdim=True))
        self.register_buffer("damped", damped)
        self._hold("A_re", p, config.train_A)
        self._hold("A_im", A.imag, config.train_A)
        self._hold("B", torch.from_numpy(initial.B), config.train_B)
        self.low_rank = initial.P is not None
        if initial.P is not None:
            self._hold("P", torch.from_numpy(initial.P), config.train_A)
        n = config.d_state // 2
        self._hold("C", torch.complex(normals[..., :n], normals[..., n:]) / 2**0.5, config.train_C)

    def state_space(self) -> Diagonal | DPLR:
        """Diagonal, or DPLR where the structure has P."""
        A = self._heads(torch.complex(real_part(self.A_re, self.damped), self.A_im))
        B = self._heads(torch.view_as_complex(self.B))
        C, dt = torch.view_as_complex(self.C), self.step_sizes()
        if not self.low_rank:
            return Diagonal(A=A, B=B, C=C, dt=dt)
        return DPLR(A=A, B=B, P=self._heads(torch.view_as_complex(self.P)), C=C, dt=dt)


class DenseParameters(Parameters):
    """`dense`: A (S, N, N), B (S, N), C (K, H, N), all real. Trained freely, A can become unstable."""

    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor

    def __init__(self, config: S4, basis: Basis, timescale: LogUniform, normals: torch.Tensor, u: torch.Tensor) -> None:
        super().__init__(config, timescale, u)
        A, B = initial_dense(config, basis)
        self._hold("A", torch.from_numpy(A), config.train_A)
        self._hold("B", torch.from_numpy(B), config.train_B)
        self._hold("C", normals, config.train_C)

    def state_space(self) -> Dense:
        """The real matrices."""
        return Dense(A=self._heads(self.A), B=self._heads(self.B), C=self.C, dt=self.step_sizes())


def make_parameters(
    config: S4, basis: Basis, timescale: LogUniform, normals: torch.Tensor, u: torch.Tensor
) -> Parameters:
    """Parameters from standard normals (K, H, N) behind C and uniforms (H,) or (H, n) behind dt, both float64.

    The normals are C itself for dense, and (real, imaginary) halves over sqrt2 for pairs, so that E|C|^2 = 1 there.
    Both give an output of variance |x|^2: N unit normals directly, 2 Re(C z) because |x|^2 = 2 |z|^2.
    """
    kind = DenseParameters if config.structure == "dense" else PairParameters
    return kind(config, basis, timescale, normals, u)
