"""The workload "kernel": K (K, H, L) of a state space model, and the gradients of its parameters."""

from __future__ import annotations

import dataclasses

import torch

from harness.kernels.backend import Backend, Request, StateSpace
from harness.kernels.reference import recurrence
from harness.throughput.workload import Call, Function, Outcome, Workload, leaves, picked, spread


class Generation(Workload):
    """Kernels of `ssm`, and a random cotangent (K, H, L) in float64."""

    def __init__(self, ssm: StateSpace, request: Request, cotangent: torch.Tensor) -> None:
        self.ssm, self.request, self.cotangent = ssm, request, cotangent
        self.model, self.parameters = leaves(ssm)

    def backed(self, backend: Backend, request: Request) -> Call:
        cotangent = self.cotangent.to(getattr(torch, request.dtype))
        return Function(lambda asked: backend.kernel(self.model, asked), self.parameters, request, cotangent)

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
