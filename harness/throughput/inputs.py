"""The workload of a trial: state spaces drawn as a trial of this seed would draw them, and random sequences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from harness import registry
from harness.bases import BASES
from harness.bases.basis import Basis
from harness.kernels.backend import StateSpace
from harness.ssm import TIMESCALES
from harness.ssm.parameters import make_parameters
from harness.ssm.seeded import generator
from harness.ssm.timescale import LogUniform
from harness.throughput import TIMERS
from harness.throughput.config import LayerTimer, StepTimer, Timer
from harness.throughput.generation import Generation
from harness.throughput.layer import Layer
from harness.throughput.recipe import RecipeTimer
from harness.throughput.recipe_step import Recipe
from harness.throughput.step import Training
from harness.throughput.workload import Workload


def timer_of(spec: Mapping[str, Any]) -> Timer:
    """The timer that a spec names."""
    timer: Timer = registry.build("timer", TIMERS, spec["timer"])
    return timer


def basis_of(spec: Mapping[str, Any]) -> Basis:
    """The basis that a spec names."""
    basis: Basis = registry.build("basis", BASES, spec["basis"])
    return basis


def workload(spec: Mapping[str, Any], device: str, heads: int | None = None, length: int | None = None) -> Workload:
    """What the spec's timer times, on `device`; at `heads` and `length` of its inputs where they are given."""
    timer, basis = timer_of(spec), basis_of(spec)
    timescale: LogUniform = registry.build("timescale", TIMESCALES, spec["dt"])
    request = timer.model.request(basis, timer.length, device)
    request = dataclasses.replace(request, dtype=timer.dtype, batch=timer.batch_size, application="fft")
    order = generator(spec["seed"], "order")
    if isinstance(timer, RecipeTimer):
        made: Workload = Recipe(timer, basis, timescale, spec["seed"], request)
    elif isinstance(timer, StepTimer):
        made = Training(timer, basis, timescale, spec["seed"], request)
    else:
        ssm = _state_space(timer, basis, timescale, spec["seed"], device)
        if isinstance(timer, LayerTimer):
            shape = (timer.batch, timer.heads, timer.length)
            dtype = getattr(torch, timer.dtype)
            u, cotangent = (torch.randn(shape, generator=order, dtype=dtype).to(device) for _ in range(2))
            cotangent[1:-1] = 0
            made = Layer(ssm, request, u, cotangent)
        else:
            shape = (request.channels, timer.heads, timer.length)
            made = Generation(ssm, request, torch.randn(shape, generator=order, dtype=torch.float64).to(device))
    return made if heads is None and length is None else made.few(heads or timer.heads, length)


def _state_space(timer: Timer, basis: Basis, timescale: LogUniform, seed: int, device: str) -> StateSpace:
    shape = (timer.heads, timer.state // 2) if timescale.per == "state" else (timer.heads,)
    u = torch.rand(shape, dtype=torch.float64, generator=generator(seed, "dt"))
    C = torch.randn(1, timer.heads, timer.state, dtype=torch.float64, generator=generator(seed, "C"))
    return make_parameters(timer.model, basis, timescale, C, u).to(device).state_space()
