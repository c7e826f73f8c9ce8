"""The pure expansion of a question file into trials: same file, same trials, same ids."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import contrast
from harness.ablation import Ablation
from harness.choices import AXES, Choice, Place, Resolver, located
from harness.errors import UsageError, unknown
from harness.levels import CASE, axes_of_cases, chosen_by_cases, compared_axes, label, merged, settings_of
from harness.presets.preset import Preset, load


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
        text = {key: f"{json.dumps(key)}:{_canonical(value)}" for key, value in parts.items()}
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

    @functools.cached_property
    def trial_id(self) -> str:
        """12 hex digits of the SHA-256 of the sorted JSON."""
        before, after = self.arm.canonical
        return hashlib.sha256(f"{before}{self.seed}{after}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Plan:
    """An expanded question file."""

    ablation: Ablation
    levels: Mapping[str, tuple[str, ...]]
    """The labels of every compared axis, in file order."""
    trials: tuple[TrialSpec, ...]
    smoke: bool = False
    preset: Preset | None = None

    def jobs(self) -> Iterator[dict[str, Any]]:
        """The trials as the JSON-able jobs that `harness.trial.run` takes."""
        shared = {
            "name": self.ablation.name,
            "question": self.ablation.question,
            "expect": self.ablation.expect,
            "text": self.ablation.text,
            "kind": self.ablation.kind,
            "primary": self.ablation.compare.get("primary"),
            "compare": list(self.levels),
            "levels": {axis: list(labels) for axis, labels in self.levels.items()},
            "cases": axes_of_cases(self.ablation),
            "repeats": 1 if self.smoke else self.ablation.repeats,
            "settings": list(self.ablation.settings),
            "smoke": self.smoke,
            "tolerance": self.ablation.tolerance,
            "labels": [*self.ablation.labels, *(self.preset.labels if self.preset else ())],
            "preset": self.ablation.preset,
            "preset_axes": self._preset_axes(),
        }
        for trial in self.trials:
            yield {
                "spec": trial.as_json(),
                "trial_id": trial.trial_id,
                "ablation": {**shared, "arm": dict(trial.arm.labels)},
            }

    def _preset_axes(self) -> list[str]:
        """The axes that differ between arms because the preset has other numbers for another task."""
        if self.preset is None or "task" not in {*self.levels, *axes_of_cases(self.ablation)}:
            return []
        return sorted({axis for tables in self.preset.tasks.values() for axis in tables} - {"task"})


def plan(ablation: Ablation, smoke: bool = False) -> Plan:
    """Every trial of the file: seed by seed, and within a seed arm by arm in file order.

    Raises UsageError, with file, line and the fix, for anything that could not run.
    """
    axes = AXES[ablation.kind]
    preset = _preset(ablation)
    fixed = dict(ablation.fixed)
    for name in fixed:
        if name not in axes:
            raise located(ablation, unknown(f"key in [fixed] of kind '{ablation.kind}'", name, axes), "fixed", name)
    compared = compared_axes(ablation, axes)
    levels = {path: tuple(label(path, level) for level in values) for path, values in compared.items()}
    for path, labels in levels.items():
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise ablation.wrong(f"compare.{path} has '{twice}' twice; each level once.", "compare", path)
    for name, axis in axes.items():
        named = {*fixed, *compared, *chosen_by_cases(compared)} | ({"basis"} if preset else set())
        if axis.default is None and name not in named:
            raise ablation.wrong(
                f"no {axis.kind} is chosen. Set {name} under [fixed] or compare it under [compare], "
                f'for example {name} = "{next(iter(axis.table))}".'
            )

    if ablation.tolerance is not None and (ablation.kind != "train" or len(levels.get("backend", ())) < 2):
        raise ablation.wrong(
            "tolerance is for backends that should agree; compare two or more under compare.backend, or remove it.",
            "",
            "tolerance",
        )

    resolve = Resolver(ablation, axes, smoke)
    arms: list[Arm] = []
    for picked in itertools.product(*(range(len(values)) for values in compared.values())):
        raw = {name: fixed.get(name) for name in axes}
        places: dict[str, list[Place]] = {name: [] for name in axes}
        for (path, values), index in zip(compared.items(), picked, strict=True):
            for head, change in settings_of(path, values[index]):
                raw[head] = merged(raw[head], change)
                places[head].append((path, levels[path][index] if path == CASE else None))
        raw = _beneath(ablation, preset, raw)
        with _mentioning(preset):
            choices = {name: resolve(name, raw[name], places[name]) for name in axes}
            resolve.check(choices)
        labels_of = {path: levels[path][index] for path, index in zip(compared, picked, strict=True)}
        arms.append(Arm(ablation.kind, choices, labels_of))

    if (primary := ablation.compare.get("primary")) is not None:
        try:
            contrast.parse(primary, levels)
        except UsageError as problem:
            raise located(ablation, problem, "compare", "primary") from None
    seeds = range(1 if smoke else ablation.repeats)
    trials = tuple(TrialSpec(arm, seed) for seed in seeds for arm in arms)
    seen: dict[str, Arm] = {}
    for trial in trials[: len(arms)]:
        other = seen.setdefault(trial.trial_id, trial.arm)
        if other is not trial.arm:
            raise ablation.wrong(
                f"the arms {_arm(other.labels)} and {_arm(trial.arm.labels)} are the same trial; remove one of them.",
                "compare",
            )
    return Plan(ablation, levels, trials, smoke, preset)


def _preset(ablation: Ablation) -> Preset | None:
    if ablation.preset is None:
        return None
    if ablation.kind != "train":
        raise ablation.wrong(
            f"preset is a recipe for training, but kind is '{ablation.kind}'; remove it.", key="preset"
        )
    try:
        return load(ablation.preset)
    except UsageError as problem:
        raise located(ablation, problem, "", "preset") from None


@contextlib.contextmanager
def _mentioning(preset: Preset | None) -> Iterator[None]:
    """An error may be about a number that the file does not show."""
    try:
        yield
    except UsageError as problem:
        if preset is None:
            raise
        raise UsageError(f"{problem} The preset '{preset.name}' says what the file leaves out.") from None


def _beneath(ablation: Ablation, preset: Preset | None, raw: dict[str, Any]) -> dict[str, Any]:
    """The values of the axes, with the preset's beneath."""
    if preset is None:
        return raw
    try:
        return preset.beneath(raw, {name: axis.default for name, axis in AXES[ablation.kind].items()})
    except UsageError as problem:
        raise located(ablation, problem, "", "preset") from None


def only(planned: Plan, filters: Sequence[str]) -> Plan:
    """The trials whose arm, choice name or seed matches every `axis=label` filter."""
    kept = list(planned.trials)
    for one in filters:
        axis, equals, label = one.partition("=")
        if not equals:
            raise UsageError(f"--only {one}: write it as axis=label, for example --only basis=legs.")
        known: set[str] = set()
        matching = []
        for trial in kept:
            names = _names(trial, axis)
            if not names:
                axes = [*planned.levels, *AXES[planned.ablation.kind], "seed"]
                raise unknown("axis in --only", axis, dict.fromkeys(axes))
            known.update(names)
            if label in names:
                matching.append(trial)
        if not matching:
            raise unknown(f"{axis} in --only", label, sorted(known))
        kept = matching
    return replace(planned, trials=tuple(kept))


def _names(trial: TrialSpec, axis: str) -> set[str]:
    names = {trial.arm.labels[axis]} if axis in trial.arm.labels else set()
    if axis == "seed":
        names.add(str(trial.seed))
    if axis in trial.choices:
        names.add(trial.choices[axis]["name"])
    return names


def _arm(labels: Mapping[str, str]) -> str:
    return " · ".join(f"{axis} {label}" for axis, label in labels.items())


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
