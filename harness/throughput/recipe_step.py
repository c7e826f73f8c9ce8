"""The workload "recipe": a training step as `harness.training` takes it, of a preset's model, on random batches.

Sequences of tokens differ in length, from a quarter of the longest on; every fourth is the longest.
"""

from __future__ import annotations

import dataclasses

import torch

from harness.bases.basis import Basis
from harness.kernels.backend import Backend, Request
from harness.kernels.parts import part
from harness.ssm.model import Model
from harness.ssm.seeded import generator
from harness.ssm.timescale import LogUniform
from harness.tasks.ragged import Ragged
from harness.tasks.sequences import Sequences, Split
from harness.tasks.task import Batch
from harness.throughput.recipe import RecipeTimer
from harness.throughput.truth import Recurrence
from harness.throughput.workload import Call, Outcome, Workload, sizes_in_a_model
from harness.training.accumulate import split
from harness.training.compiling import compile_blocks
from harness.training.evaluate import moved
from harness.training.precision import forward
from harness.training.schedule import multiplier
from harness.training.update import Update

BATCHES = 4
"""Batches of an epoch of the random data."""


class RecipeCall(Call):
    """Forward and loss; `both` is a whole step, its batch assembled and the parameters moved."""

    def __init__(self, timer: RecipeTimer, model: Model, data: Sequences, seed: int, device: str) -> None:
        self.update = Update(timer.training, timer.classified, model)
        self.data, self.seed, self.device, self.step = data, seed, torch.device(device), 0
        self.fixed = self.batch(0)

    def batch(self, step: int) -> Batch:
        return moved(self.data.train_batch(step, self.update.config.batch_size, self.seed), self.device)

    def forward(self) -> torch.Tensor:
        with torch.no_grad():
            self.update.model.train()
            losses = [self.update.loss(one) for one in split(self.fixed, self.update.config.accumulate)]
        return torch.stack(losses)

    def both(self) -> object:
        with part("data"):
            batch = self.batch(self.step)
        loss, _ = self.update(batch, multiplier(self.step, self.update.config), self.step + 1)
        self.step += 1
        return loss

    def outcome(self, gradients: bool = True) -> Outcome:
        model, batch = self.update.model, self.fixed
        if not gradients:
            with torch.no_grad():
                return Outcome(model(batch.x, batch.lengths), ())
        scores = forward(model, batch, "float32")
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        draw = torch.randn(scores.shape, generator=generator(self.seed, "order"), dtype=torch.float64)
        found = torch.autograd.grad(scores, trained, draw.to(scores))
        return Outcome(scores.detach(), found)


class Recipe(Workload):
    """Models and data of one seed."""

    def __init__(self, timer: RecipeTimer, basis: Basis, timescale: LogUniform, seed: int, request: Request) -> None:
        self.timer, self.basis, self.timescale, self.seed, self.request = timer, basis, timescale, seed, request
        self.data = random_data(timer, seed)
        self.data.to(torch.device(request.device))

    def backed(self, backend: Backend, request: Request) -> Call:
        return self._call(backend, request)

    def truth(self) -> Outcome:
        return self._call(Recurrence(), self.request, torch.float64).outcome()

    def sizes(self, truth: Outcome) -> list[float]:
        return sizes_in_a_model(truth.gradients)

    def few(self, heads: int, length: int | None = None) -> Recipe:
        """With a length, for the gate, also a few sequences and layers of that length."""
        timer = self.timer.smaller(heads) if length is None else self.timer.gated(heads, length)
        request = dataclasses.replace(self.request, heads=heads, length=timer.length, batch=timer.batch_size)
        return Recipe(timer, self.basis, self.timescale, self.seed, request)

    def _call(self, backend: Backend, request: Request, dtype: torch.dtype | None = None) -> RecipeCall:
        timer, task = self.timer, self.timer.classified
        model = Model(timer.model, self.basis, self.timescale, backend, task.inputs, task.outputs, False, self.seed)
        for layer in model.layers:
            layer.request = dataclasses.replace(layer.request, application=request.application)
        model = model.to(request.device)
        data = self.data
        if dtype is not None:
            model, data = model.to(dtype), random_data(timer, self.seed, dtype)
        if timer.compile and dtype is None:
            compile_blocks(model, request.device)
        torch.manual_seed(self.seed)
        return RecipeCall(timer, model, data, self.seed, request.device)


def random_data(timer: RecipeTimer, seed: int, dtype: torch.dtype = torch.float32) -> Sequences:
    """A training split of random sequences in the form in which tasks store theirs, and as long as the timer says."""
    inputs, L = timer.classified.inputs, timer.length
    draw, n = generator(seed, "data"), BATCHES * timer.batch
    y = torch.randint(timer.classified.outputs, (n,), generator=draw)
    if inputs.kind == "real":
        stored = torch.randint(256, (n, L, inputs.size), generator=draw, dtype=torch.uint8)
        return Sequences({"train": Split(stored, y)}, {}, decode=lambda x: x.to(dtype) / 127.5 - 1)
    lengths = torch.randint(-(-L // 4), L + 1, (n, inputs.towers), generator=draw)
    lengths[::4] = L
    lengths = lengths if inputs.towers == 2 else lengths[:, 0]
    tokens = torch.randint(1, inputs.size, (int(lengths.sum()),), generator=draw, dtype=torch.int16)
    starts = (lengths.flatten().cumsum(0) - lengths.flatten()).view_as(lengths)
    return Sequences({"train": Split(Ragged(tokens, starts, lengths), y)}, {})
