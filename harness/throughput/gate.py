"""The correctness gate: no contestant is timed before its output and gradients agree with the float64 recurrence."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from harness.kernels.backend import Backend, Request
from harness.kernels.reference import Reference
from harness.throughput.contestant import Contestant
from harness.throughput.truth import Rounded
from harness.throughput.workload import Outcome, Workload

ROUNDING_BAND = 64
"""In units of the dtype's epsilon, beside twice the plain reference's own error."""
GRADIENT_BAND = {"float32": 1e-3, "float64": 1e-3 * 2.0**-29}
"""What any gradient is allowed: three digits in float32. PyKeOps adds the L/2 quotients of a Cauchy sum one by one in
that precision, 7e-4 of dt's gradient at L = 4096 (LegS), and still trains S4; a wrong formula is off by far more. The
errors stand in the report beside the timings."""

GRADIENT_WORST = {"float32": 1e-2, "float64": 1e-2 * 2.0**-29}
"""What no formula's condition excuses: a gradient with less than two digits. Cauchy sums in float32 lose them all for
some undamped A. The plain reference may lose as many: a model of 16384 random steps pools what nearly cancels, and a
contestant is then held to its digits at the gate's short length."""


@dataclass(frozen=True)
class Verdict:
    """Largest errors, relative to the largest true value, of the output and of any gradient; what each is allowed."""

    output: float
    gradient: float
    tolerance: float
    gradient_tolerance: float
    first_call_s: float

    def passed(self, direction: str) -> bool:
        """A forward pass needs a right output, forward and backward right gradients as well."""
        return self.output <= self.tolerance and (direction == "forward" or self.gradient <= self.gradient_tolerance)


class Gate:
    """What is true of a workload, and what a contestant is allowed: made once, for all of them.

    An output is allowed twice the plain reference's own error in the timed dtype, four times what its own formula
    magnifies, and a band of rounding; a gradient the same, its band being wider. Gradients lose more digits than the
    output does, so one tolerance for both would let a wrong output pass.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        request = workload.request
        self.truth = workload.truth()
        self.sizes = workload.sizes(self.truth)
        band = ROUNDING_BAND * torch.finfo(getattr(torch, request.dtype)).eps
        own = self._errors(workload.backed(Reference(), request).outcome())
        output, gradient = (2 * error + _truth_band(request) for error in own)
        self.allowed = output + band, gradient + GRADIENT_BAND[request.dtype]

    def judge(self, contestant: Contestant, gradients: bool = True) -> Verdict:
        """Run it on poisoned memory and compare; without `gradients`, where it has none, its output alone."""
        call = self.workload.call(contestant)
        with poisoned():
            started = time.perf_counter()
            outcome = call.outcome(gradients)
            if outcome.output.is_cuda:
                torch.cuda.synchronize()
            seconds = time.perf_counter() - started
        magnified = self._magnified(contestant)
        tolerance, gradient_tolerance = (one + 4 * other for one, other in zip(self.allowed, magnified, strict=True))
        worst = max(GRADIENT_WORST[self.workload.request.dtype], self.allowed[1])
        return Verdict(*self._errors(outcome), tolerance, min(gradient_tolerance, worst), seconds)

    def agrees(self, part: torch.Tensor, tolerance: float) -> bool:
        """Whether the part of an output at full size which this truth is about is within the tolerance."""
        return _relative(part, self.truth.output, _size(self.truth.output)) <= tolerance

    def _magnified(self, contestant: Contestant) -> tuple[float, float]:
        """The errors of those float32 roundings that the contestant's own formula magnifies, as S4's Cauchy sums do."""
        if contestant.given or type(contestant.backend).conditioned is Backend.conditioned:
            return 0.0, 0.0
        request = self.workload.request
        scale = 1.0 if request.dtype == "float32" else 2.0**-29
        output, gradient = self._errors(self.workload.backed(Rounded(contestant.backend), request).outcome())
        return scale * output, scale * gradient

    def _errors(self, outcome: Outcome) -> tuple[float, float]:
        """The error of the output and of the worst gradient."""
        output, gradients = self.workload.compared(outcome)
        worst = max(map(_relative, gradients, self.truth.gradients, self.sizes), default=0.0)
        return _relative(output, self.truth.output, _size(self.truth.output)), worst


@contextlib.contextmanager
def poisoned() -> Iterator[None]:
    """Memory that torch hands out holds nan until it is written (`torch.utils.deterministic`), so that gaps show."""
    before, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn)


def _truth_band(request: Request) -> float:
    """What the truth itself may be off by: three roundings a step, and N in each of ten products that discretise.

    It tells in float64 alone, where the plain reference of dplr and dense is the truth, its own error 0.
    """
    return (3 * request.length + 10 * request.state) * 2.0**-53


def _relative(got: torch.Tensor, true: torch.Tensor, size: float) -> float:
    """Largest absolute deviation over `size`; infinite when anything is not finite."""
    if not bool(torch.isfinite(got).all()):
        return float("inf")
    return float((got.to(true.dtype) - true).abs().max()) / size


def _size(true: torch.Tensor) -> float:
    """The largest magnitude, 1 where all is zero."""
    return float(true.abs().max()) or 1.0
