"""What a trial is made of: its arm (every choice, complete) and its seed, with the id that both give."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Choice = dict[str, Any]
Added = Mapping[tuple[str, str], Mapping[str, Any]]
"""Axis and name of a choice to fields that came after records existed, each with the value that means what was done
before."""

LEFT_OUT: Added = {("training", "adamw"): {"compile": False}}
"""At these values a field is left out of what is hashed, so that records from before it keep their id. A field that is
new from now on belongs here."""

FIRST: Added = {
    ("dt", "log_uniform"): {"floor": None},
    ("model", "s4"): {
        "application": "auto",
        "dropout_convolution": 0.0,
        "norm_over_padding": False,
        "real_floor": None,
        "tie_dropout": False,
    },
    ("training", "adamw"): {
        "accumulate": 1,
        "decay": "weights",
        "eval_drop_last": False,
        "plateau_factor": 0.2,
        "plateau_patience": 10,
        "precision": "float32",
        "test_at": "best",
    },
}
"""Fields that the first records lack and later ones have in their ids: without them the id is the `former_id`."""

FIRST_AS: Added = {("training", "adamw"): {"lr_C": "lr", "schedule_steps": "steps"}}
"""As `FIRST`, each with the field whose value it must have."""


@dataclass(frozen=True)
class Arm:
    """What the trials of an arm share: everything that decides a result but the seed."""

    kind: str
    choices: Mapping[str, Choice]
    """Of every axis, with all defaults and versions written out."""
    labels: Mapping[str, str]
    """One for each compared axis; not part of a trial's identity."""

    @functools.cached_property
    def hashed(self) -> Mapping[str, Choice]:
        """The choices without the fields of `LEFT_OUT`."""
        return {axis: _without(choice, _fields(LEFT_OUT, axis, choice)) for axis, choice in self.choices.items()}

    @functools.cached_property
    def canonical(self) -> tuple[str, str]:
        """The sorted JSON of a trial's id, before and after its seed."""
        return self._around_the_seed(self.hashed)

    @functools.cached_property
    def former(self) -> tuple[str, str] | None:
        """As `canonical`, of the first records; None where an arm does what none of them did."""
        first = {}
        for axis, choice in self.hashed.items():
            first[axis] = _without(choice, _first_fields(axis, choice))
            if first[axis].keys() & _first_fields(axis, choice):
                return None
        return None if first == self.hashed else self._around_the_seed(first)

    def _around_the_seed(self, choices: Mapping[str, Choice]) -> tuple[str, str]:
        parts = {"kind": self.kind, **choices}
        text = {key: f"{json.dumps(key)}:{canonical(value)}" for key, value in parts.items()}
        before = ",".join([*(text[key] for key in sorted(text) if key < "seed"), '"seed":'])
        after = ",".join(["", *(text[key] for key in sorted(text) if key > "seed")])
        return f"{{{before}", f"{after}}}"


@dataclass(frozen=True)
class TrialSpec:
    """Everything that decides a trial's result: its arm and its seed."""

    arm: Arm
    seed: int
    known_as: str = ""
    """The id of its record, where that is the former one."""

    @property
    def choices(self) -> Mapping[str, Choice]:
        return self.arm.choices

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.arm.kind, "seed": self.seed, **self.arm.choices}

    def job(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON-able job that `harness.trial.run` takes; `about` is what the record says of the question file."""
        return {"spec": self.as_json(), "trial_id": self.trial_id, "ablation": dict(about)}

    @functools.cached_property
    def trial_id(self) -> str:
        """12 hex digits of the SHA-256 of the sorted JSON, without the fields of `LEFT_OUT`."""
        return self.known_as or self._digest(self.arm.canonical)

    @property
    def former_id(self) -> str | None:
        """The id that the first records of such a trial have; None where there can be none."""
        return self._digest(self.arm.former) if self.arm.former else None

    def _digest(self, around: tuple[str, str]) -> str:
        before, after = around
        return digest(f"{before}{self.seed}{after}")


def comparable(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A record's spec without any field that an older record of the same trial would lack."""
    choices = {axis: choice for axis, choice in spec.items() if isinstance(choice, dict)}
    added = {axis: {**_fields(LEFT_OUT, axis, one), **_first_fields(axis, one)} for axis, one in choices.items()}
    return {**spec, **{axis: _without(choice, added[axis]) for axis, choice in choices.items()}}


def _fields(added: Added, axis: str, choice: Choice) -> Mapping[str, Any]:
    return added.get((axis, choice.get("name", "")), {})


def _first_fields(axis: str, choice: Choice) -> dict[str, Any]:
    """The fields of `FIRST` and `FIRST_AS` with the values that mean what was done before."""
    same = {field: choice.get(other) for field, other in _fields(FIRST_AS, axis, choice).items()}
    return {**_fields(FIRST, axis, choice), **same}


def _without(choice: Choice, added: Mapping[str, Any]) -> Choice:
    """The choice without the fields that have the value given."""
    return {field: value for field, value in choice.items() if field not in added or value != added[field]}


def canonical(value: Any) -> str:
    """One text for equal JSON values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """12 hex digits of the SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
