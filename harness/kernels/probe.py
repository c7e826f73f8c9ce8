"""Does a backend really run here? One tiny forward and backward, compared with the recurrence."""

from __future__ import annotations

import dataclasses
import itertools
import traceback
from typing import Any, NamedTuple, get_args

import torch

from harness.kernels import KERNELS
from harness.kernels.backend import DPLR, Backend, Dense, Diagonal, Discretization, Request, StateSpace, Structure
from harness.kernels.reference import recurrence
from harness.registry import lookup

TOLERANCE = 1e-4
"""A float32 kernel of a dozen steps has rounding near 1e-6; a wrong one is off by its own size."""


class Probe(NamedTuple):
    """What became of it: it ran, it does not apply here for the `reasons` it gives, or it failed with an `error`."""

    reasons: str = ""
    error: str = ""

    @property
    def ran(self) -> bool:
        return not (self.reasons or self.error)


def probe(name: str, device: str = "cpu") -> Probe:
    """Run the backend `name` forward and backward on `device`: the true error, never a guess.

    Every structure and discretisation that the backend supports is tried.
    Raises UsageError for a name that is not registered.
    """
    backend: Backend = lookup("backend", KERNELS, name)()
    reasons: list[str] = []
    ran = False
    for structure, rule in itertools.product(get_args(Structure), get_args(Discretization)):
        request = Request(structure, rule, heads=2, state=4, length=12, rank=1, device=device)
        refusals = backend.unsupported(request)
        if refusals:
            reasons.extend(refusals)
            continue
        ran = True
        try:
            trouble = _run(backend, request)
        except Exception as error:
            said = "".join(traceback.format_exception_only(error)).strip()
            return Probe(error=f"{structure}, {rule}: {said}")
        if trouble:
            return Probe(error=f"{structure}, {rule}: {trouble}")
    return Probe() if ran else Probe(reasons=" ".join(dict.fromkeys(reasons)))


def _run(backend: Backend, request: Request) -> str | None:
    ssm = tiny(request.structure, request.device)
    parameters = [value.requires_grad_() for value in vars(ssm).values()]
    kernel = backend.kernel(ssm, request)
    truth = recurrence(ssm, request.discretization, request.length)
    worst = _error(kernel, truth)
    if not worst < TOLERANCE:
        return f"The kernel differs from the recurrence by {worst:.1e}, and {TOLERANCE:.0e} is allowed."
    mine = torch.autograd.grad(kernel.square().sum(), parameters)
    theirs = torch.autograd.grad(truth.square().sum(), parameters)
    for field, gradient, true_gradient in zip(dataclasses.fields(ssm), mine, theirs, strict=True):
        worst = _error(gradient, true_gradient)
        if not worst < TOLERANCE:
            return f"The gradient of {field.name} differs from the recurrence's by {worst:.1e}."
    return None


def _error(got: torch.Tensor, truth: torch.Tensor) -> float:
    return float((got - truth).detach().abs().max() / truth.detach().abs().max())


def tiny(structure: Structure, device: str) -> StateSpace:
    """Two damped heads of state size 4, the same at every call."""

    def on(values: list[Any], dtype: torch.dtype = torch.complex128) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    A = on([[-0.5 + 1j, -0.5 + 4j], [-0.25 + 2j, -1.0 + 0j]])
    B = on([[1.0 + 0j, 0.5 - 1j], [-1.0 + 1j, 2.0 + 0j]])
    C = on([[[1.0 + 1j, 2.0 + 0j], [0.5 + 0j, -1.0 + 2j]]])
    dt = on([0.1, 0.3], torch.float64)
    if structure == "diagonal":
        return Diagonal(A, B, C, dt)
    if structure == "dplr":
        return DPLR(A, B, 0.5 * B[:, None].conj().resolve_conj(), C, dt)
    lower = [[-1.0, 0, 0, 0], [-1, -2, 0, 0], [-1, -3, -3, 0], [-1, -3, -5, -4]]
    rows = [[1.0, -2, 3, -1], [2.0, 1, -1, 1]]
    return Dense(on([lower, lower], torch.float64), on(rows, torch.float64), on([rows[::-1]], torch.float64), dt)
