"""The correctness gate: no contestant is timed before its output and gradients agree with the float64 recurrence."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from harness.kernels.backend import Backend, Request
from harness.kernels.reference import Reference
from harness.throughput.contestant import Contestant
from harness.throughput.truth import Rounded
from harness.throughput.workload import Outcome, Workload

ROUNDING_BAND = 64
"""In units of the dtype's epsilon, beside twice the plain reference's own error."""
POISONED, POISONED_BYTES = 32, 2**29
"""Blocks of an output's size that hold nan when a contestant is called, more than it takes for its own tables; and the
most that they hold together, one block apart."""


@dataclass(frozen=True)
class Verdict:
    """Largest errors, relative to the largest true value, of the output and of any gradient; what each is allowed."""

    output: float
    gradient: float
    tolerance: float
    gradient_tolerance: float
    first_call_s: float

    @property
    def share(self) -> float:
        """The larger of the two errors as shares of what is allowed; infinite when either is no number."""
        shares = self.output / self.tolerance, self.gradient / self.gradient_tolerance
        return max(shares) if all(share == share for share in shares) else float("inf")

    @property
    def passed(self) -> bool:
        return self.share <= 1.0


class Gate:
    """What is true of a workload, and what a contestant is allowed: made once, for all of them.

    Each is allowed twice the plain reference's own error in the timed dtype, four times what its own formula magnifies,
    and a band of rounding. Gradients lose more digits than the output does, so one tolerance for both would let a wrong
    output pass.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        request = workload.request
        self.truth = workload.truth()
        band = ROUNDING_BAND * torch.finfo(getattr(torch, request.dtype)).eps + _truth_band(request)
        own = self._errors(workload.backed(Reference(), request).outcome())
        self.allowed = 2 * own[0] + band, 2 * own[1] + band

    def judge(self, contestant: Contestant, gradients: bool = True) -> Verdict:
        """Run it on poisoned memory and compare; without `gradients`, where it has none, its output alone."""
        call = self.workload.call(contestant)
        poison(self.workload.request)
        started = time.perf_counter()
        outcome = call.outcome(gradients)
        if outcome.output.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        magnified = self._magnified(contestant)
        tolerance, gradient_tolerance = (one + 4 * other for one, other in zip(self.allowed, magnified, strict=True))
        return Verdict(*self._errors(outcome), tolerance, gradient_tolerance, seconds)

    def agrees(self, part: torch.Tensor, tolerance: float) -> bool:
        """Whether the part of an output at full size which this truth is about is within the tolerance."""
        return _relative(part, self.truth.output) <= tolerance

    def _magnified(self, contestant: Contestant) -> tuple[float, float]:
        """The errors of those float32 roundings which the contestant's own formula magnifies, as S4's Cauchy sums do."""
        if contestant.given or type(contestant.backend).conditioned is Backend.conditioned:
            return 0.0, 0.0
        request = self.workload.request
        scale = 1.0 if request.dtype == "float32" else 2.0**-29
        output, gradient = self._errors(self.workload.backed(Rounded(contestant.backend), request).outcome())
        return scale * output, scale * gradient

    def _errors(self, outcome: Outcome) -> tuple[float, float]:
        """The error of the output and of the worst gradient."""
        output, gradients = self.workload.compared(outcome)
        pairs = zip(gradients, self.truth.gradients, strict=False)
        worst = max((_relative(got, true) for got, true in pairs), default=0.0)
        return _relative(output, self.truth.output), worst


def poison(request: Request) -> None:
    """Leave nan in the memory that an output is likely to be given, so that what stays unwritten shows."""
    dtype = getattr(torch, request.dtype)
    size = request.channels * request.batch * request.heads * request.length
    count = max(1, min(POISONED, POISONED_BYTES // (size * dtype.itemsize)))
    for _ in range(2):
        # Freeing a large block raises glibc's threshold below which freed memory is kept; the second round's is.
        blocks = [torch.full((size,), torch.nan, dtype=dtype, device=request.device) for _ in range(count)]
        del blocks


def _truth_band(request: Request) -> float:
    """What the truth itself may be off by: three roundings a step, and N in each of ten products that discretise.

    It tells in float64 alone, where the plain reference of dplr and dense is the truth, its own error 0.
    """
    return (3 * request.length + 10 * request.state) * 2.0**-53


def _relative(got: torch.Tensor, true: torch.Tensor) -> float:
    """Largest absolute deviation over the largest true magnitude; infinite when anything is not finite."""
    if not bool(torch.isfinite(got).all()):
        return float("inf")
    scale = float(true.abs().max()) or 1.0
    return float((got.to(true.dtype) - true).abs().max()) / scale
