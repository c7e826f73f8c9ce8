"""A search, as far as it is known before it runs: arms whose tuned values are still to be suggested.

Its trials come in two stages. In the first, each arm tries the same number of configurations on the tuning seed; in the
second, the one that was best on validation is run again on the seeds 0 .. repeats-1, whose scores are the arm's result.
Neither is part of a trial's identity, so a configuration that is suggested twice is one trial.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.ablation import Ablation
from harness.errors import UsageError
from harness.levels import merged
from harness.registry import lookup
from harness.space import Values
from harness.spec import Arm, Choice, TrialSpec, canonical, digest
from harness.tasks import TASKS
from harness.tuning import TUNING_SEED, Tune

TUNING, CONFIRMATION = "tuning", "confirmation"
Raw = Mapping[str, Any]
"""Axis to its value as the file gives it."""


@dataclass(frozen=True)
class Candidates:
    """An arm of a search: the trials that have its labels, one for each point of the space and seed."""

    kind: str
    labels: Mapping[str, str]
    raw: Raw
    tune: Tune
    resolve: Callable[[Raw], Mapping[str, Choice]]

    @functools.cached_property
    def first(self) -> TrialSpec:
        """The trial at the space's first corner: what it says of the untuned parts, all of them say."""
        return TrialSpec(self.at(next(self.tune.corners())), TUNING_SEED)

    @functools.cached_property
    def task(self) -> type[Any]:
        """The task's class, whose `primary` metric validation selects by."""
        return lookup("task", TASKS, self.first.choices["task"]["name"])

    @property
    def title(self) -> str:
        return ", ".join(f"{axis} {label}" for axis, label in self.labels.items()) or "all"

    def at(self, values: Values) -> Arm:
        """The arm at one point of the space."""
        return Arm(self.kind, self.resolve(placed(self.raw, values)), self.labels)

    @functools.cached_property
    def id(self) -> str:
        """12 hex digits of all that its trials share: what neither a tuned value nor its consequences decide."""
        corners = list(self.tune.corners())
        first, last = (self.at(corners[at]).hashed for at in (0, -1))
        tuned = {(axis, name) for axis, _, name in (path.partition(".") for path in corners[0])}
        shared = {
            axis: {
                name: value
                for name, value in choice.items()
                if (axis, name) not in tuned and value == last[axis].get(name)
            }
            for axis, choice in first.items()
        }
        return digest(canonical(shared))

    def owns(self, about: Mapping[str, Any], spec: Mapping[str, Any], trial_id: str) -> bool:
        """Whether the record with this header is of one of its trials, at the present space."""
        values = about.get("tune", {}).get("values")
        if not isinstance(values, dict) or not self.tune.contains(values) or about.get("arm") != dict(self.labels):
            return False
        return TrialSpec(self.at(values), spec["seed"]).trial_id == trial_id


@dataclass(frozen=True)
class Search:
    """The arms of a search and what it does with each of them."""

    tune: Tune
    arms: tuple[Candidates, ...]
    repeats: int
    about: Mapping[str, Any]
    """What the records of all trials say of the file."""

    @property
    def trials(self) -> dict[str, int]:
        """Trials of an arm, by stage."""
        return {TUNING: self.tune.trials * self.tune.seeds, CONFIRMATION: self.repeats}

    def jobs(self, arm: Candidates, stage: str, index: int, values: Values) -> list[dict[str, Any]]:
        """The jobs of one configuration: suggestion number `index`, tried in tuning or repeated in confirmation."""
        first, count = (TUNING_SEED, self.tune.seeds) if stage == TUNING else (0, self.repeats)
        here = {"search": arm.id, "stage": stage, "index": index, "values": values}
        about = {**self.about, "arm": dict(arm.labels), "tune": {**self.tune.as_json(), **here}}
        at = arm.at(values)
        return [TrialSpec(at, seed).job(about) for seed in range(first, first + count)]


def candidates(
    ablation: Ablation,
    tune: Tune,
    labels: Mapping[str, str],
    raw: Raw,
    resolve: Callable[[Raw], Mapping[str, Choice]],
) -> Candidates:
    """The arm, checked: it sets no tuned parameter itself, and the ends of the space could run."""
    for one in tune.space:
        axis, _, name = one.path.partition(".")
        fixed, given = ablation.fixed.get(axis), raw[axis]
        if isinstance(given, dict) and name in given:
            section = "fixed" if isinstance(fixed, dict) and name in fixed else "compare"
            raise ablation.wrong(f"{one.path} stands under [{section}] and under [tune]; keep one.", "tune", one.key)
    arm = Candidates(ablation.kind, labels, raw, tune, resolve)
    for values in tune.corners():
        try:
            arm.at(values)
        except UsageError as problem:
            for one in tune.space:
                if one.path in str(problem) or f"parameter '{one.path.rpartition('.')[2]}'" in str(problem):
                    sentence = str(problem).removeprefix(ablation.path).partition(": ")[2]
                    raise ablation.wrong(f"in [tune]: {sentence}", "tune", one.key) from None
            raise
    return arm


def placed(raw: Raw, values: Values) -> dict[str, Any]:
    """`raw` with the tuned values put in."""
    found = dict(raw)
    for path, value in values.items():
        axis, _, name = path.partition(".")
        found[axis] = merged(found[axis], {name: value})
    return found
