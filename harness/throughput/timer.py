"""Times kernel generation: gate first, then backends interleaved round-robin so that drift hits all alike."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from harness import registry
from harness.bases import BASES
from harness.bases.basis import Basis
from harness.errors import HarnessError
from harness.kernels import KERNELS
from harness.kernels.backend import Backend, Request, StateSpace
from harness.ssm import TIMESCALES
from harness.ssm.parameters import make_parameters
from harness.ssm.seeded import generator
from harness.ssm.timescale import LogUniform
from harness.throughput import TIMERS, gate
from harness.throughput.config import KernelTimer

SLOW_S = 1.0
SLOW_REPEATS = 5
"""A call above SLOW_S is repeated only this often."""
PRIME = 97
"""A short length that no block size divides, gated beside the length that is timed."""
FAULTS = (RuntimeError, MemoryError, HarnessError)
"""What a backend may raise and lose only its own timings by."""

Emit = Callable[[dict[str, Any]], None]


def measure(job: Mapping[str, Any], emit: Emit, device: str) -> None:
    """Run one throughput trial on `device`; rows are `gate`, `unsupported` and `metric` rows without time and attempt.

    Times are in seconds, one row per repeat, named `<backend>/forward_s` and `<backend>/both_s` (forward and
    backward together). The baseline runs a second time in every round as `<baseline>#2`. First calls, which
    may compile, are `<backend>/first_call_s` and never among the repeats. A backend that fails, in the gate or at
    full size, gets a `gate` row that says why, and the others are timed without it.
    """
    spec = job["spec"]
    timer: KernelTimer = registry.build("timer", TIMERS, spec["timer"])
    basis = registry.build("basis", BASES, spec["basis"])
    timescale = registry.build("timescale", TIMESCALES, spec["dt"])
    torch.set_num_threads(timer.threads)
    ssm = _state_space(timer, basis, timescale, spec["seed"], device)
    request = _request(timer, basis, device)

    passed: dict[str, Backend] = {}
    for name in timer.backends:
        backend: Backend = registry.lookup("backend", KERNELS, name)()
        if reasons := backend.unsupported(request):
            emit({"row": "unsupported", "backend": name, "reasons": list(reasons)})
        elif _gate(name, backend, timer, ssm, request, spec["seed"], emit):
            passed[name] = backend
    _time(passed, timer, ssm, request, spec["seed"], emit)


def _state_space(timer: KernelTimer, basis: Basis, timescale: LogUniform, seed: int, device: str) -> StateSpace:
    """The state spaces of a freshly initialised layer on `device`, drawn as a trial of this seed would draw them."""
    shape = (timer.heads, timer.state // 2) if timescale.per == "state" else (timer.heads,)
    u = torch.rand(shape, dtype=torch.float64, generator=generator(seed, "dt"))
    C = torch.randn(1, timer.heads, timer.state, dtype=torch.float64, generator=generator(seed, "C"))
    return make_parameters(timer.model, basis, timescale, C, u).to(device).state_space()


def _request(timer: KernelTimer, basis: Basis, device: str) -> Request:
    request = timer.model.request(basis, timer.length, device)
    return dataclasses.replace(request, dtype=timer.dtype, gradients=timer.direction == "both")


def _gate(
    name: str, backend: Backend, timer: KernelTimer, ssm: StateSpace, request: Request, seed: int, emit: Emit
) -> bool:
    """Compare kernel and gradients with the float64 recurrence on a few heads; True when within tolerance."""
    picked = gate.heads(ssm, gate.spread(ssm, timer.gate_heads))
    count = picked.dt.shape[0]
    found: list[gate.Verdict] = []
    for length in sorted({request.length, min(PRIME, request.length)}):
        asked = dataclasses.replace(request, length=length, heads=count)
        try:
            verdict = gate.judge(backend, picked, asked, generator(seed, "order"))
        except FAULTS as fault:
            emit(_failed(name, fault))
            return False
        found.append(verdict)
    worst = max(found, key=lambda verdict: verdict.share)
    emit(
        {
            "row": "gate",
            "backend": name,
            "passed": worst.passed,
            "error": worst.kernel,
            "gradient_error": worst.gradient,
            "tolerance": worst.tolerance,
            "gradient_tolerance": worst.gradient_tolerance,
        }
    )
    emit(_metric(name, "first_call_s", found[0].first_call_s, "run"))
    emit(_metric(name, "error", max(verdict.kernel for verdict in found), "run", unit=""))
    emit(_metric(name, "gradient_error", max(verdict.gradient for verdict in found), "run", unit=""))
    return worst.passed


def _time(
    backends: Mapping[str, Backend], timer: KernelTimer, ssm: StateSpace, request: Request, seed: int, emit: Emit
) -> None:
    """Time every backend in every round, the order turned by one each round."""
    model, parameters = gate.leaves(ssm)
    shape = (request.channels, request.heads, request.length)
    cotangent = torch.randn(shape, generator=generator(seed, "order"), dtype=getattr(torch, request.dtype))
    cotangent = cotangent.to(request.device)
    passes: dict[str, Callable[[Backend], object]] = {"forward_s": partial(_forward, model, request)}
    if timer.direction == "both":
        passes["both_s"] = partial(_both, model, parameters, request, cotangent)
    ready, slow = _warm(backends, passes, request.device, emit)
    if timer.baseline in ready:
        ready[f"{timer.baseline}#2"] = ready[timer.baseline]
    calls = [(name, which) for which in passes for name in ready]
    for repeat in range(min(timer.repeats, SLOW_REPEATS) if slow else timer.repeats):
        turn = repeat % len(calls) if calls else 0
        for name, which in calls[turn:] + calls[:turn]:
            seconds = _clock(partial(passes[which], ready[name]), request.device)
            emit(_metric(name, which, seconds, "timing", step=repeat))


def _warm(
    backends: Mapping[str, Backend], passes: Mapping[str, Callable[[Backend], object]], device: str, emit: Emit
) -> tuple[dict[str, Backend], bool]:
    """Call every pass of every backend once: the backends that run at full size, and whether any call is slow."""
    ready: dict[str, Backend] = {}
    slow = False
    for name, backend in backends.items():
        try:
            seconds = [_clock(partial(call, backend), device) for call in passes.values()]
        except FAULTS as fault:
            emit(_failed(name, fault))
        else:
            ready[name] = backend
            slow = slow or max(seconds) > SLOW_S
    return ready, slow


def _forward(model: StateSpace, request: Request, backend: Backend) -> torch.Tensor:
    with torch.no_grad():
        return backend.kernel(model, request)


def _both(
    model: StateSpace, parameters: list[torch.Tensor], request: Request, cotangent: torch.Tensor, backend: Backend
) -> object:
    return torch.autograd.grad(backend.kernel(model, request), parameters, cotangent)


def _clock(call: Callable[[], object], device: str) -> float:
    """Wall-clock seconds of one call, the device's queue empty before and after."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _metric(backend: str, name: str, value: float, split: str, step: int = 0, unit: str = "s") -> dict[str, Any]:
    return {"row": "metric", "name": f"{backend}/{name}", "value": value, "unit": unit, "step": step, "split": split}


def _failed(backend: str, fault: BaseException) -> dict[str, Any]:
    return {"row": "gate", "backend": backend, "passed": False, "reason": f"{type(fault).__name__}: {fault}"}
