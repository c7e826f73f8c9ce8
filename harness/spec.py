"""What a trial is made of: its arm (every choice, complete) and its seed, with the id that both give."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Choice = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    """What the trials of an arm share: everything that decides a result but the seed."""

    kind: str
    choices: Mapping[str, Choice]
    """Of every axis, with all defaults and versions written out."""
    labels: Mapping[str, str]
    """One for each compared axis; not part of a trial's identity."""

    @functools.cached_property
    def canonical(self) -> tuple[str, str]:
        """The sorted JSON of a trial, before and after its seed."""
        parts = {"kind": self.kind, **self.choices}
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
        """12 hex digits of the SHA-256 of the sorted JSON."""
        before, after = self.arm.canonical
        return digest(f"{before}{self.seed}{after}")


def canonical(value: Any) -> str:
    """One text for equal JSON values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """12 hex digits of the SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
