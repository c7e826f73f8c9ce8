"""The workload "kernel": K (K, H, L) of a state space model, and the gradients of its parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from harness.kernels.backend import Request, StateSpace
from harness.kernels.reference import Reference, recurrence
from harness.throughput.contestant import Contestant
from harness.throughput.workload import Call, Function, Outcome, Workload, leaves, picked, spread


class Generation(Workload):
    """Kernels of `ssm`, and a random cotangent (K, H, L) in float64."""

    def __init__(self, ssm: StateSpace, request: Request, cotangent: torch.Tensor) -> None:
        self.ssm, self.request, self.cotangent = ssm, request, cotangent
        self.model, self.parameters = leaves(ssm)

    def call(self, contestant: Contestant) -> Call:
        backend = contestant.backend
        return self._function(lambda request: backend.kernel(self.model, request))

    def plain(self) -> Call:
        return self._function(lambda request: Reference().kernel(self.model, request))

    def truth(self) -> Outcome:
        kernel = recurrence(self.model, self.request.discretization, self.request.length)
        return Outcome(kernel.detach(), torch.autograd.grad(kernel, self.parameters, self.cotangent))

    def few(self, heads: int, length: int | None = None) -> Generation:
        length = length or self.request.length
        pick = spread(self.ssm, heads)
        request = dataclasses.replace(self.request, heads=len(pick), length=length)
        return Generation(picked(self.ssm, pick), request, self.cotangent[:, pick, :length])

    def part_of(self, output: torch.Tensor, heads: int) -> torch.Tensor:
        return output[:, spread(self.ssm, heads)]

    def _function(self, kernel: Callable[[Request], torch.Tensor]) -> Call:
        cotangent = self.cotangent.to(getattr(torch, self.request.dtype))
        return Function(kernel, self.parameters, self.request, cotangent)
