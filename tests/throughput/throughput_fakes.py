"""Backends that are wrong in one way each, and a small timing to run them in."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from harness.kernels import KERNELS
from harness.kernels.backend import Request, StateSpace
from harness.kernels.reference import Reference
from harness.registry import choice, lookup
from harness.throughput.contestant import Contestant, parse
from harness.throughput.timer import measure
from harness.trial import TABLES

Rows = list[dict[str, Any]]
HEADS, GATE_HEADS = 3, 2


@dataclass(frozen=True)
class Scaled(Reference):
    """A kernel that is off by a hundredth."""

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        return super().kernel(ssm, request) * (1 + 1e-2)


@dataclass(frozen=True)
class Flipped(Reference):
    """The right kernel with gradients of the wrong sign."""

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        kernel = super().kernel(ssm, request)
        return 2 * kernel.detach() - kernel


@dataclass(frozen=True)
class Infinite(Reference):
    """A kernel that is not a number at its last step."""

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        return torch.cat((super().kernel(ssm, request)[..., :-1], torch.full((1, request.heads, 1), torch.nan)), -1)


@dataclass(frozen=True)
class Broken(Reference):
    """It raises `fault`, from `heads` heads on."""

    fault: ClassVar[Exception] = RuntimeError("out of memory")
    heads: ClassVar[int] = 1

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        if request.heads >= self.heads:
            raise self.fault
        return super().kernel(ssm, request)


@dataclass(frozen=True)
class Unable(Reference):
    """It cannot run anything, and says so."""

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return (f"It cannot run length {request.length}.", "It has no device.")


@dataclass(frozen=True)
class Seen(Reference):
    """Notes the heads of each call and the devices of its tensors."""

    calls: ClassVar[list[tuple[int, set[str]]]] = []

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        self.calls.append((request.heads, {value.device.type for value in vars(ssm).values()} | {request.device}))
        return super().kernel(ssm, request)


@dataclass(frozen=True)
class Unwritten(Reference):
    """The right kernel, but its last element is left as it was allocated."""

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        out = torch.empty(1, request.heads, request.length)
        kernel = super().kernel(ssm, request)
        out[..., :-1] = kernel.detach()[..., :-1]
        return out + (kernel - kernel.detach()) * torch.tensor([1.0] * (request.length - 1) + [0.0])


@dataclass(frozen=True)
class Hungry(Reference):
    """The right kernel, beside `mib` MiB that it fills and lets go."""

    mib: int = 64

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        torch.ones(self.mib * 2**20, dtype=torch.uint8)
        return super().kernel(ssm, request)


@dataclass(frozen=True)
class Sleepy(Reference):
    """The right kernel after `ms` milliseconds for each head, with gradients four times that."""

    ms: float = 2.0

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        time.sleep(1e-3 * self.ms * request.heads * (4 if request.gradients else 1))
        return super().kernel(ssm, request)


@dataclass(frozen=True)
class Larger(Reference):
    """Right with few heads, wrong with all."""

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        return super().kernel(ssm, request) * (1.001 if request.heads == HEADS else 1)


@dataclass(frozen=True)
class Killed(Reference):
    """Its process is killed where memory is measured: a process forked from a server, not this one."""

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        if "throughput.memory" in " ".join(sys.orig_argv) and request.heads == HEADS:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().kernel(ssm, request)


@dataclass(frozen=True)
class ForwardOnly(Reference):
    """It has no gradients, and says so."""

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return ("It has no backward pass.",) if request.gradients else ()


FAKES = {"scaled": Scaled, "flipped": Flipped, "infinite": Infinite, "broken": Broken, "unable": Unable, "seen": Seen}
FAKES |= {"unwritten": Unwritten, "hungry": Hungry, "sleepy": Sleepy, "larger": Larger, "killed": Killed}
FAKES |= {"forward_only": ForwardOnly}


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, fake in FAKES.items():
        monkeypatch.setitem(KERNELS, name, fake)
    monkeypatch.setattr(Seen, "calls", [])


def chosen(part: str, name: str, **arguments: Any) -> dict[str, Any]:
    """The complete choice of a component."""
    return choice(name, lookup(part, TABLES[part], name)(**arguments))


def job(
    *backends: str, what: str = "kernel", basis: str = "s4d-lin", dt: tuple[float, float] = (1e-3, 1e-1), **timer: Any
) -> dict[str, Any]:
    sizes = {"length": 16, "heads": HEADS, "state": 4, "repeats": 4, "gate_heads": GATE_HEADS, "memory": False}
    spec = {
        "kind": "throughput",
        "seed": 0,
        "timer": chosen("timer", what, backends=backends, baseline=backends[0], **{**sizes, **timer}),
        "basis": chosen("basis", basis),
        "dt": chosen("dt", "log_uniform", min=dt[0], max=dt[1]),
    }
    return {"spec": spec, "trial_id": "0123456789ab", "ablation": {"name": "t"}}


def contestant(text: str) -> Contestant:
    return parse(text, applied=True, may_be_given=True)


def measured(*backends: str, device: str = "cpu", **timer: Any) -> Rows:
    """The rows of a small timing whose baseline is the first backend."""
    rows: Rows = []
    with one_thread():
        measure(job(*backends, **timer), rows.append, device)
    return rows


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def gates(rows: Rows, backend: str) -> Rows:
    return [row for row in rows if row["row"] == "gate" and row["backend"] == backend]


def timed(rows: Rows) -> list[tuple[int, str]]:
    """(round, "<backend>/<pass>") of every timing, in the order in which they were taken."""
    return [(row["step"], row["name"]) for row in rows if row["row"] == "metric" and row["split"] == "timing"]


def backends_timed(rows: Rows) -> set[str]:
    return {name.partition("/")[0] for _, name in timed(rows)}
