"""The pure expansion of a question file into trials: same file, same trials, same ids."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import contrast
from harness.ablation import Ablation
from harness.choices import AXES, Axis, Place, Resolver, located
from harness.errors import UsageError, unknown
from harness.levels import CASE, axes_of_cases, chosen_by_cases, compared_axes, label, merged, settings_of
from harness.presets.preset import Preset, load
from harness.registry import fields, lookup
from harness.search import Candidates, Search, candidates
from harness.spec import Arm, Choice, TrialSpec
from harness.training import TRAININGS
from harness.tuning import Tune, tune_of


@dataclass(frozen=True)
class Plan:
    """An expanded question file."""

    ablation: Ablation
    levels: Mapping[str, tuple[str, ...]]
    """The labels of every compared axis, in file order."""
    trials: tuple[TrialSpec, ...]
    """None of a search: which they are depends on the scores of those before."""
    smoke: bool = False
    preset: Preset | None = None
    search: Search | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What the records of all trials say of the file, beside their arm."""
        return {
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

    @property
    def examples(self) -> tuple[TrialSpec, ...]:
        """The trials; of a search one for each arm, which has the arm's labels and untuned parts."""
        return tuple(arm.first for arm in self.search.arms) if self.search else self.trials

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of the examples, each once: what a seed does not change need not be asked for every trial."""
        return tuple({id(one.arm): one.arm for one in self.examples}.values())

    def jobs(self) -> Iterator[dict[str, Any]]:
        """The trials as the JSON-able jobs that `harness.trial.run` takes."""
        shared = self.about
        for trial in self.trials:
            yield trial.job({**shared, "arm": dict(trial.arm.labels)})

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
    tune = _tune(ablation, axes, smoke)
    searched: list[Candidates] = []
    arms: list[Arm] = []
    for picked in itertools.product(*(range(len(values)) for values in compared.values())):
        raw = {name: fixed.get(name) for name in axes}
        places: dict[str, list[Place]] = {name: [] for name in axes}
        for (path, values), index in zip(compared.items(), picked, strict=True):
            for head, change in settings_of(path, values[index]):
                raw[head] = merged(raw[head], change)
                places[head].append((path, levels[path][index] if path == CASE else None))
        labels_of = {path: levels[path][index] for path, index in zip(compared, picked, strict=True)}
        complete = functools.partial(_complete, resolve, preset, places)
        if tune is None:
            arms.append(Arm(ablation.kind, complete(raw), labels_of))
        else:
            searched.append(candidates(ablation, tune, labels_of, raw, complete))
            arms.append(searched[-1].first.arm)

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
    planned = Plan(ablation, levels, () if tune else trials, smoke, preset)
    if tune is None:
        return planned
    return replace(planned, search=Search(tune, tuple(searched), len(seeds), planned.about))


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


def _tune(ablation: Ablation, axes: Mapping[str, Axis], smoke: bool) -> Tune | None:
    if ablation.tune is None:
        return None
    short = dict.fromkeys(name for entry in TRAININGS for name in fields(lookup("training", TRAININGS, entry)))
    return tune_of(ablation, axes, short, smoke)


def _complete(
    resolve: Resolver, preset: Preset | None, places: Mapping[str, Sequence[Place]], raw: Mapping[str, Any]
) -> dict[str, Choice]:
    """Every axis of an arm, with the preset's values beneath, resolved and checked together."""
    whole = _beneath(resolve, preset, raw)
    with _mentioning(preset):
        choices = {name: resolve(name, value, places[name]) for name, value in whole.items()}
        resolve.check(choices)
    return choices


def _beneath(resolve: Resolver, preset: Preset | None, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of the axes, with the preset's beneath."""
    if preset is None:
        return raw
    try:
        return preset.beneath(raw, {name: axis.default for name, axis in resolve.axes.items()})
    except UsageError as problem:
        raise located(resolve.ablation, problem, "", "preset") from None


def only(planned: Plan, filters: Sequence[str]) -> Plan:
    """The trials whose arm, choice name or seed has, on every axis of an `axis=label` filter, one of its labels.

    Of a search, whole arms.
    """
    search = planned.search
    wanted: dict[str, list[str]] = {}
    for one in filters:
        axis, equals, label = one.partition("=")
        if not equals:
            raise UsageError(f"--only {one}: write it as axis=label, for example --only basis=legs.")
        if search and axis == "seed":
            raise UsageError(f"--only {one}: the stages of a search choose their seeds; filter by an axis.")
        wanted.setdefault(axis, []).append(label)
    kept = list(planned.examples)
    for axis, labels in wanted.items():
        named = [(trial, _names(trial, axis)) for trial in kept]
        if not all(names for _, names in named):
            axes = [*planned.levels, *AXES[planned.ablation.kind], "seed"]
            raise unknown("axis in --only", axis, dict.fromkeys(axes))
        known = {name for _, names in named for name in names}
        for label in labels:
            if label not in known:
                raise unknown(f"{axis} in --only", label, sorted(known))
        kept = [trial for trial, names in named if names & set(labels)]
    if search:
        arms = tuple(arm for arm in search.arms if arm.first in kept)
        return replace(planned, search=replace(search, arms=arms))
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
