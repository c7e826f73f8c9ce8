"""The workload "step": a whole training step of an S4 model as `harness.training` trains it, on random sequences.

The gate compares, on a model of a few heads, the scores (M, outputs) and the gradients of every parameter with those of
the same model in float64 whose kernels come from the recurrence.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from harness.bases.basis import Basis
from harness.kernels.backend import Backend, Request
from harness.ssm.model import Model
from harness.ssm.seeded import generator
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Inputs
from harness.throughput.config import StepTimer
from harness.throughput.truth import Recurrence
from harness.throughput.workload import Call, Outcome, Workload, sizes_in_a_model
from harness.training.config import AdamW
from harness.training.groups import groups


class Step(Call):
    """Forward and loss; `both` adds backward and the optimiser's update, so the parameters move from call to call."""

    def __init__(self, model: Model, x: torch.Tensor, classes: torch.Tensor, cotangent: torch.Tensor) -> None:
        self.model, self.x, self.classes, self.cotangent = model, x, classes, cotangent
        self.optimiser = torch.optim.AdamW(groups(model, AdamW()))

    def forward(self) -> torch.Tensor:
        with torch.no_grad():
            return nn.functional.cross_entropy(self.model(self.x), self.classes)

    def both(self) -> object:
        self.optimiser.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(self.model(self.x), self.classes)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss

    def outcome(self, gradients: bool = True) -> Outcome:
        if not gradients:
            with torch.no_grad():
                return Outcome(self.model(self.x), ())
        scores = self.model(self.x)
        found = torch.autograd.grad(scores, list(self.model.parameters()), self.cotangent)
        return Outcome(scores.detach(), found)


class Training(Workload):
    """Models of one seed on x (M, L, inputs)."""

    def __init__(self, timer: StepTimer, basis: Basis, timescale: LogUniform, seed: int, request: Request) -> None:
        self.timer, self.basis, self.timescale, self.seed, self.request = timer, basis, timescale, seed, request
        order = generator(seed, "order")
        shape = (timer.batch, timer.length, timer.inputs)
        dtype = getattr(torch, timer.dtype)
        self.x = torch.randn(shape, generator=order, dtype=torch.float64).to(request.device, dtype)
        self.classes = torch.randint(timer.outputs, shape[:1], generator=order).to(request.device)
        cotangent = torch.randn((timer.batch, timer.outputs), generator=order, dtype=torch.float64)
        self.cotangent = cotangent.to(request.device, dtype)

    def backed(self, backend: Backend, request: Request) -> Call:
        return self._step(backend, request)

    def truth(self) -> Outcome:
        return self._step(Recurrence(), self.request, torch.float64).outcome()

    def sizes(self, truth: Outcome) -> list[float]:
        return sizes_in_a_model(truth.gradients)

    def few(self, heads: int, length: int | None = None) -> Training:
        timer = dataclasses.replace(self.timer, heads=heads, length=length or self.timer.length)
        request = dataclasses.replace(self.request, heads=heads, length=timer.length)
        return Training(timer, self.basis, self.timescale, self.seed, request)

    def _step(self, backend: Backend, request: Request, dtype: torch.dtype | None = None) -> Step:
        timer = self.timer
        inputs = Inputs("real", timer.inputs)
        model = Model(timer.model, self.basis, self.timescale, backend, inputs, timer.outputs, False, self.seed)
        for layer in model.layers:
            layer.request = dataclasses.replace(layer.request, application=request.application)
        dtype = dtype or self.x.dtype
        # Parameters of the state spaces are float64 in every model.
        model = model.to(self.x.device) if dtype == torch.float32 else model.to(self.x.device, dtype)
        return Step(model, self.x.to(dtype), self.classes, self.cotangent.to(dtype))
