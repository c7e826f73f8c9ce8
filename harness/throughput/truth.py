"""The truth as a backend, so that a layer and a whole model have one too."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.kernels.backend import Backend, Request, StateSpace
from harness.kernels.reference import recurrence


@dataclass(frozen=True)
class Recurrence(Backend):
    """The sequential recurrence in float64, whatever is asked for."""

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return ()

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L) float64."""
        return recurrence(ssm, request.discretization, request.length)


@dataclass(frozen=True)
class Rounded(Backend):
    """The truth but for those float32 roundings that the formula of `backend` magnifies: `Backend.conditioned`."""

    backend: Backend

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return ()

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L) float64; the truth itself where nothing is magnified."""
        found = self.backend.conditioned(ssm, request)
        return recurrence(ssm, request.discretization, request.length) if found is None else found
