"""A toy task and deliberately broken components, for tests of the trial itself."""

from __future__ import annotations

import builtins
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from harness import registry
from harness.kernels import KERNELS
from harness.kernels.backend import Request, StateSpace
from harness.kernels.reference import Reference
from harness.ssm import TIMESCALES
from harness.ssm.timescale import LogUniform
from harness.tasks import TASKS
from harness.tasks.task import Batch, Data, Inputs, Provenance, Task
from harness.trial import TABLES

OPENED: list[str] = []
"""The splits that evaluations have asked for, in order."""


class ToyData(Data):
    """Sequences of unequal length; "val" and "test" are the same, so that their scores can be compared."""

    def __init__(self, seed: int, poison: int) -> None:
        self.seed, self.poison = seed, poison
        self.sizes = {"train": 64, "val": 10, "test": 10}

    def train_batch(self, step: int, batch_size: int, order_seed: int) -> Batch:
        batch = self._batch(order_seed + step, batch_size)
        return Batch(batch.x, batch.y - 2, batch.lengths) if step + 1 == self.poison else batch

    def evaluation(self, split: str, batch_size: int) -> Iterator[Batch]:
        OPENED.append(split)
        batch = self._batch(self.seed, 10)
        assert batch.lengths is not None
        for start in range(0, 10, batch_size):
            part = slice(start, start + batch_size)
            yield Batch(batch.x[part], batch.y[part], batch.lengths[part])

    def references(self) -> dict[str, float]:
        return {"chance": 0.5}

    def _batch(self, seed: int, size: int) -> Batch:
        source = torch.Generator().manual_seed(seed % 2**63)
        x = torch.randint(4, (size, 12), generator=source)
        lengths = torch.randint(6, 13, (size,), generator=source)
        return Batch(x, x[:, 0] % 2, lengths)


@dataclass(frozen=True)
class Toy(Task):
    """The parity of the first token."""

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Toy"
    suite: ClassVar[Literal["lra", "synthetic"]] = "synthetic"
    primary: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    poison: int = 0
    """The step whose loss is not a number; 0 for none."""
    fingerprint: str = "toy"

    @property
    def inputs(self) -> Inputs:
        return Inputs("tokens", 4)

    @property
    def outputs(self) -> int:
        return 2

    @property
    def max_length(self) -> int:
        return 12

    def provenance(self, data_root: Path | None) -> Provenance:
        return Provenance(self.fingerprint if data_root is None else data_root.name, "generated", "drawn by the test")

    def open(self, data_root: Path | None, seed: int) -> Data:
        return ToyData(seed, self.poison)

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        if bool((batch.y < 0).any()):
            return outputs.sum() * math.nan
        return torch.nn.functional.cross_entropy(outputs, batch.y)

    def score(self, outputs: torch.Tensor, batch: Batch) -> dict[str, tuple[float, int]]:
        total = torch.nn.functional.cross_entropy(outputs, batch.y, reduction="sum")
        right = (outputs.argmax(-1) == batch.y).sum()
        return {"loss": (float(total), len(batch.y)), "accuracy": (float(right), len(batch.y))}


@dataclass(frozen=True)
class BadSlope(LogUniform):
    """dt as it should be, with a gradient that is not a number."""

    def dt(self, parameter: torch.Tensor) -> torch.Tensor:
        return super().dt(parameter) + (parameter - parameter).sqrt()


@dataclass(frozen=True)
class Unable(Reference):
    """A backend that cannot run anything, and says so."""

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return (f"It cannot run length {request.length}.", "It has no device.")


@dataclass(frozen=True)
class Failing(Reference):
    """A backend that raises what it is told to."""

    kind: str = "RuntimeError"
    text: str = "boom"

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        raise getattr(builtins, self.kind)(self.text)


def register(monkeypatch: Any) -> None:
    """Add the toys to the tables for the length of one test."""
    for table, name, component in (
        (TASKS, "toy", Toy),
        (TIMESCALES, "bad_slope", BadSlope),
        (KERNELS, "unable", Unable),
        (KERNELS, "failing", Failing),
    ):
        monkeypatch.setitem(table, name, component)


def chosen(part: str, name: str, **arguments: Any) -> dict[str, Any]:
    """The complete choice of a component."""
    return registry.choice(name, registry.lookup(part, TABLES[part], name)(**arguments))


def job(**parts: dict[str, Any]) -> dict[str, Any]:
    """A small training job: dropout and batch normalisation, 9 steps, 3 evaluations; `parts` replaces choices."""
    model = {"d_model": 4, "d_state": 4, "n_layers": 2, "norm": "batch", "dropout": 0.3}
    training = {"steps": 9, "evaluations": 3, "batch_size": 4, "warmup_steps": 2}
    spec = {
        "kind": "train",
        "seed": 3,
        "task": chosen("task", "toy"),
        "basis": chosen("basis", "legs"),
        "dt": chosen("dt", "log_uniform"),
        "model": chosen("model", "s4", **model),
        "backend": chosen("backend", "reference"),
        "training": chosen("training", "adamw", **training),
        **parts,
    }
    made: dict[str, Any] = json.loads(json.dumps({"spec": spec, "trial_id": "0123456789ab", "ablation": {"name": "t"}}))
    return made
