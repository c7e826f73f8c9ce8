"""The correctness gate: no backend is timed before its kernel and gradients agree with the float64 recurrence."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from harness.kernels.backend import Backend, Request, StateSpace
from harness.kernels.reference import Reference, recurrence

ROUNDING_BAND = 64
"""In units of the dtype's epsilon, beside twice the plain reference's own error."""


@dataclass(frozen=True)
class Verdict:
    """Largest errors, relative to the largest true value, of the kernel and of any gradient; what each is allowed."""

    kernel: float
    gradient: float
    tolerance: float
    gradient_tolerance: float
    first_call_s: float

    @property
    def share(self) -> float:
        """The larger of the two errors as shares of what is allowed."""
        return max(self.kernel / self.tolerance, self.gradient / self.gradient_tolerance)

    @property
    def passed(self) -> bool:
        return self.share <= 1.0


def heads(ssm: StateSpace, pick: torch.Tensor) -> StateSpace:
    """The state spaces of the heads `pick` (G,), as leaves."""
    chosen = {}
    for field in dataclasses.fields(ssm):
        value = getattr(ssm, field.name)
        chosen[field.name] = value.detach()[:, pick] if field.name == "C" else value.detach()[pick]
    return dataclasses.replace(ssm, **chosen)


def spread(ssm: StateSpace, count: int) -> torch.Tensor:
    """`count` heads from the least to the greatest dt, both extremes among them."""
    dt = ssm.dt.detach()
    order = torch.argsort(dt if dt.ndim == 1 else dt.amin(-1))
    places = torch.linspace(0, len(order) - 1, min(count, len(order)), device=order.device).round().long()
    return order[places]


def leaves(ssm: StateSpace) -> tuple[StateSpace, list[torch.Tensor]]:
    """A copy whose tensors are leaves that require gradients, and those tensors."""
    named = {f.name: getattr(ssm, f.name).detach().clone().requires_grad_() for f in dataclasses.fields(ssm)}
    return dataclasses.replace(ssm, **named), list(named.values())


def judge(backend: Backend, ssm: StateSpace, request: Request, source: torch.Generator) -> Verdict:
    """Compare kernel and gradients with the sequential recurrence in float64, for a random cotangent.

    Each is allowed twice the plain reference's own error in the request's dtype, four times what the backend's own
    formula magnifies (S4's Cauchy sums do), and a band of rounding. Gradients lose more digits than the kernel does,
    so one tolerance for both would let a wrong kernel pass.
    """
    shape = (request.channels, request.heads, request.length)
    cotangent = torch.randn(shape, generator=source, dtype=torch.float64).to(request.device)
    model, parameters = leaves(ssm)
    kernel = recurrence(model, request.discretization, request.length)
    truth = (kernel.detach(), torch.autograd.grad(kernel, parameters, cotangent))
    started = time.perf_counter()
    errors = _errors(backend.kernel, ssm, request, cotangent, truth)
    seconds = time.perf_counter() - started
    band = ROUNDING_BAND * torch.finfo(getattr(torch, request.dtype)).eps + _truth_band(request)
    own = _errors(Reference().kernel, ssm, request, cotangent, truth)
    magnified = _magnified(backend, ssm, request, cotangent, truth)
    tolerance, gradient_tolerance = (2 * own[i] + 4 * magnified[i] + band for i in (0, 1))
    return Verdict(*errors, tolerance, gradient_tolerance, seconds)


def _truth_band(request: Request) -> float:
    """What the truth itself may be off by: three roundings a step, and N in each of ten products that discretise.

    It tells in float64 alone, where the plain reference of dplr and dense is the truth, its own error 0.
    """
    return (3 * request.length + 10 * request.state) * 2.0**-53


Truth = tuple[torch.Tensor, tuple[torch.Tensor, ...]]


def _magnified(
    backend: Backend, ssm: StateSpace, request: Request, cotangent: torch.Tensor, truth: Truth
) -> tuple[float, float]:
    if backend.conditioned(ssm, request) is None:
        return 0.0, 0.0
    scale = 1.0 if request.dtype == "float32" else 2.0**-29
    kernel, gradient = _errors(backend.conditioned, ssm, request, cotangent, truth)
    return scale * kernel, scale * gradient


def _errors(
    make: Callable[[StateSpace, Request], Any],
    ssm: StateSpace,
    request: Request,
    cotangent: torch.Tensor,
    truth: Truth,
) -> tuple[float, float]:
    """The errors of the kernel (K, G, L) and of its worst gradient."""
    model, parameters = leaves(ssm)
    kernel = make(model, request)
    gradients = torch.autograd.grad(kernel, parameters, cotangent.to(kernel.dtype))
    worst = max(_relative(got, true) for got, true in zip(gradients, truth[1], strict=True))
    return _relative(kernel.detach(), truth[0]), worst


def _relative(got: torch.Tensor, true: torch.Tensor) -> float:
    """Largest absolute deviation over the largest true magnitude; infinite when anything is not finite."""
    if not bool(torch.isfinite(got).all()):
        return float("inf")
    scale = float(true.abs().max()) or 1.0
    return float((got.to(true.dtype) - true).abs().max()) / scale
