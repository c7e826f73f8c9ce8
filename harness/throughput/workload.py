"""What is timed: inputs that all contestants share, what a contestant computes of them, and what is true of it.

Legend: M sequences, H heads, L length, N state size, K channels.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from harness.kernels.backend import Backend, Request, StateSpace
from harness.throughput.contestant import Contestant


class Outcome(NamedTuple):
    """What a call computes: an output, and the gradients of a fixed cotangent with respect to its leaves."""

    output: torch.Tensor
    gradients: tuple[torch.Tensor, ...]


class Call(ABC):
    """One contestant bound to its inputs, as it is timed."""

    @abstractmethod
    def forward(self) -> torch.Tensor:
        """The output, nothing kept for a backward pass."""

    @abstractmethod
    def both(self) -> object:
        """Forward and backward, and whatever else belongs to a step."""

    @abstractmethod
    def outcome(self, gradients: bool = True) -> Outcome:
        """The output and the gradients that the gate compares, those of `Truth` first."""


class Function(Call):
    """A call that is a function of leaves: a kernel or a layer."""

    def __init__(
        self,
        compute: Callable[[Request], torch.Tensor],
        leaves: Sequence[torch.Tensor],
        request: Request,
        cotangent: torch.Tensor,
    ) -> None:
        self.compute, self.leaves, self.cotangent = compute, tuple(leaves), cotangent
        self.with_gradients = dataclasses.replace(request, gradients=True)
        self.without = dataclasses.replace(request, gradients=False)

    def forward(self) -> torch.Tensor:
        with torch.no_grad():
            return self.compute(self.without)

    def both(self) -> object:
        return torch.autograd.grad(self.compute(self.with_gradients), self.leaves, self.cotangent)

    def outcome(self, gradients: bool = True) -> Outcome:
        if not gradients:
            return Outcome(self.forward(), ())
        output = self.compute(self.with_gradients)
        found = torch.autograd.grad(output, self.leaves, self.cotangent.to(output.dtype))
        return Outcome(output.detach(), found)


class Workload(ABC):
    """The inputs of one size, and what every contestant makes of them."""

    request: Request
    """What is asked of a backend, but for the contestant's application and whether gradients are wanted."""

    def call(self, contestant: Contestant) -> Call:
        """`contestant` on these inputs."""
        return self.backed(contestant.backend, self.asked(contestant, gradients=True))

    @abstractmethod
    def backed(self, backend: Backend, request: Request) -> Call:
        """`backend` on these inputs, asked as `request` says."""

    @abstractmethod
    def truth(self) -> Outcome:
        """Output and gradients by the recurrence in float64, of the part that `compared` takes."""

    @abstractmethod
    def few(self, heads: int, length: int | None = None) -> Workload:
        """The same with fewer heads, the extremes of dt among them, and perhaps shorter."""

    def compared(self, outcome: Outcome) -> Outcome:
        """The part of an outcome for which there is a truth."""
        return outcome

    def sizes(self, truth: Outcome) -> list[float]:
        """What an error of each gradient is relative to: its own largest magnitude, 1 where all is zero."""
        return [float(gradient.abs().max()) or 1.0 for gradient in truth.gradients]

    def part_of(self, output: torch.Tensor, heads: int) -> torch.Tensor | None:
        """What the output at this size says of `few(heads)`; None where the two have nothing in common."""
        return None

    def asked(self, contestant: Contestant, gradients: bool) -> Request:
        """What `contestant` is asked for."""
        return dataclasses.replace(self.request, application=contestant.application, gradients=gradients)


CANCELLED = 1e-9
"""Of the largest gradient: float64 leaves a millionth of this of one that is 0 on paper."""


def sizes_in_a_model(gradients: Sequence[torch.Tensor]) -> list[float]:
    """What errors of a model's gradients are relative to: their own largest magnitude; where one cancels, that of all.

    A bias before a batch normalisation has the gradient 0, which no rounding of its terms is relative to.
    """
    own = [float(gradient.abs().max()) for gradient in gradients]
    largest = max(own, default=0.0) or 1.0
    return [size if size > CANCELLED * largest else largest for size in own]


def picked(ssm: StateSpace, pick: torch.Tensor) -> StateSpace:
    """The state spaces of the heads `pick` (G,)."""
    chosen = {}
    for field in dataclasses.fields(ssm):
        value = getattr(ssm, field.name).detach()
        chosen[field.name] = value[:, pick] if field.name == "C" else value[pick]
    return dataclasses.replace(ssm, **chosen)


def spread(ssm: StateSpace, count: int) -> torch.Tensor:
    """`count` heads from the least to the greatest dt, both extremes among them; those of fewer are among them."""
    dt = ssm.dt.detach()
    order = torch.argsort(dt if dt.ndim == 1 else dt.amin(-1), stable=True)
    places = torch.linspace(0, len(order) - 1, min(count, len(order)), device=order.device).round().long()
    return order[places]


def leaves(ssm: StateSpace) -> tuple[StateSpace, list[torch.Tensor]]:
    """A copy whose tensors are leaves that require gradients, and those tensors."""
    named = {f.name: getattr(ssm, f.name).detach().clone().requires_grad_() for f in dataclasses.fields(ssm)}
    return dataclasses.replace(ssm, **named), list(named.values())


def size_of_dt(ssm: StateSpace, gradients: Mapping[str, torch.Tensor]) -> float:
    """The largest size, over heads, of the terms that make the gradient of dt.

    A kernel is a function of dt A, dt B (and sqrt(dt) P), so that its derivative in dt is an inner product of the
    others with their parameters, over dt. It can cancel to nothing, and no rounding of a term is relative to nothing.
    """
    terms = [(gradients[name] * getattr(ssm, name)).abs().flatten(1).sum(1) for name in "ABP" if name in gradients]
    dt = ssm.dt.flatten(1).amin(1) if ssm.dt.ndim == 2 else ssm.dt
    return float((torch.stack(terms).sum(0) / dt).max()) or 1.0
