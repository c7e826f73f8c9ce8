"""What a trial is made of: its arm (every choice, complete) and its seed, with the id that both give."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Choice = dict[str, Any]
LEFT_OUT: Mapping[tuple[str, str], Mapping[str, Any]] = {("training", "adamw"): {"compile": False}}
"""Axis and name of a choice to fields that came after records existed, each with the value that means what was done
before: at that value a field is left out of what is hashed, so that older records keep their id."""


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
        return {axis: _without(axis, choice) for axis, choice in self.choices.items()}

    @functools.cached_property
    def canonical(self) -> tuple[str, str]:
        """The sorted JSON of a trial's id, before and after its seed."""
        parts = {"kind": self.kind, **self.hashed}
        text = {key: f"{json.dumps(key)}:{canonical(value)}" for key, value in parts.items()}
        before = ",".join([*(text[key] for key in sorted(text) if key < "seed"), '"seed":'])
        after = ",".join(["", *(text[key] for key in sorted(text) if key > "seed")])
        return f"{{{before}", f"{after}}}"


@dataclass(frozen=True)
class TrialSpec:
    """Everything that decides a trial's result: its arm and its seed."""

    arm: Arm
    seed: int

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
        before, after = self.arm.canonical
        return digest(f"{before}{self.seed}{after}")


def comparable(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A record's spec without any field that an older record of the same trial would lack."""
    return {axis: _without(axis, choice) if isinstance(choice, dict) else choice for axis, choice in spec.items()}


def _without(axis: str, choice: Choice) -> Choice:
    """The choice without its fields of `LEFT_OUT`."""
    added = LEFT_OUT.get((axis, choice.get("name", "")), {})
    return {field: value for field, value in choice.items() if field not in added or value != added[field]}


def canonical(value: Any) -> str:
    """One text for equal JSON values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """12 hex digits of the SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
