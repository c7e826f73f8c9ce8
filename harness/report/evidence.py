"""What the report knows: trials, the studies that they belong to, and the published rows."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from harness.labels import of_parts_together
from harness.records import Record

Arm = tuple[str, ...]
"""The labels of an arm, in the order of its study's axes."""


@dataclass(frozen=True)
class Trial:
    """One record, seen as a member of its study."""

    record: Record

    @property
    def id(self) -> str:
        return self.record.trial_id

    @property
    def header(self) -> Mapping[str, Any]:
        return self.record.header

    @property
    def spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.record.header["spec"]
        return spec

    @property
    def seed(self) -> int:
        return int(self.spec["seed"])

    @property
    def status(self) -> str:
        return self.record.status

    @property
    def reason(self) -> str:
        return str((self.record.end or {}).get("reason", "the run was cut before the trial ended"))

    @property
    def labels(self) -> Mapping[str, str]:
        """Axis to level label."""
        return {axis: str(label) for axis, label in self.header["ablation"]["arm"].items()}

    @property
    def task(self) -> Mapping[str, Any]:
        """The header's description of the task; without title and metric where the trial ended before it knew them."""
        task: Mapping[str, Any] = self.header.get("task") or {}
        return task

    @property
    def tune(self) -> Mapping[str, Any]:
        """What the header says of the search that the trial is of; empty where nothing was tuned."""
        tune: Mapping[str, Any] = self.header["ablation"].get("tune") or {}
        return tune

    @property
    def stage(self) -> str:
        """`tuning`, `confirmation`, or empty where nothing was tuned."""
        return str(self.tune.get("stage", ""))

    @functools.cached_property
    def table(self) -> dict[tuple[str, str], list[tuple[int, float]]]:
        """(split, name) to its (step, value) pairs, in order."""
        found: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for row in self.record.metrics():
            found.setdefault((row["split"], row["name"]), []).append((int(row["step"]), float(row["value"])))
        return found

    def series(self, split: str, name: str) -> list[tuple[int, float]]:
        return self.table.get((split, name), [])

    def last(self, split: str, name: str) -> float:
        """The last value, nan where there is none."""
        series = self.series(split, name)
        return series[-1][1] if series else math.nan

    def names(self, split: str) -> list[str]:
        return [name for one, name in self.table if one == split]

    @property
    def score(self) -> float:
        """The task's primary metric on the test split, nan unless the trial is done."""
        return self.last("test", self.task["primary"]) if self.status == "done" else math.nan

    @property
    def escaped(self) -> bool | None:
        """Whether the trial left chance behind for good; None unless it is done and its record speaks of it."""
        value = self.last("run", "escaped_chance") if self.status == "done" else math.nan
        return None if math.isnan(value) else value > 0


@dataclass(frozen=True)
class Study:
    """The trials of one ablation, described by its newest record."""

    ablation: Mapping[str, Any]
    trials: tuple[Trial, ...]
    set_aside: int = 0
    """Records of other forms of the file or with other settings, which cannot be compared with those that are kept."""
    tuning: tuple[Trial, ...] = ()
    """The trials by which a search chose the configurations of `trials`; none of their scores is a result."""

    @property
    def name(self) -> str:
        return str(self.ablation["name"])

    @property
    def kind(self) -> str:
        return str(self.ablation["kind"])

    @property
    def file(self) -> str:
        """The question file: a smoke run has its name, kept apart by an ending."""
        return f"ablations/{self.name.removesuffix('-smoke') if self.smoke else self.name}.toml"

    @property
    def smoke(self) -> bool:
        return bool(self.ablation.get("smoke"))

    @property
    def tune(self) -> Mapping[str, Any]:
        """The search that chose the configurations; empty where nothing was tuned."""
        tune: Mapping[str, Any] = self.ablation.get("tune") or {}
        return tune

    @property
    def settings(self) -> list[str]:
        """The `--set` strings of the run."""
        return [str(setting) for setting in self.ablation.get("settings") or []]

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(self.ablation["compare"])

    @property
    def parts_of_cases(self) -> tuple[str, ...]:
        """The parts of a spec that the levels of the axis `case` set."""
        return tuple(self.ablation.get("cases") or ())

    @property
    def levels(self) -> Mapping[str, Sequence[str]]:
        """Axis to its labels, both in file order."""
        return {axis: [str(label) for label in self.ablation["levels"][axis]] for axis in self.axes}

    @property
    def equivalence(self) -> bool:
        return self.ablation.get("tolerance") is not None

    @property
    def planned(self) -> int:
        """Trials of the whole file: arms times repeats."""
        return math.prod(len(labels) for labels in self.levels.values()) * int(self.ablation["repeats"])

    def arm(self, trial: Trial, without: Iterable[str] = ()) -> Arm:
        left_out = set(without)
        return tuple(trial.labels[axis] for axis in self.axes if axis not in left_out)

    def arms(self, without: Iterable[str] = ()) -> dict[Arm, list[Trial]]:
        """The trials of each arm, arms in file order, seeds ascending."""
        left_out = set(without)
        kept = [axis for axis in self.axes if axis not in left_out]
        groups: dict[Arm, list[Trial]] = {}
        for trial in sorted(self.trials, key=lambda trial: (*self._place(trial, kept), trial.seed)):
            groups.setdefault(self.arm(trial, left_out), []).append(trial)
        return groups

    def _place(self, trial: Trial, axes: Iterable[str]) -> tuple[int, ...]:
        return tuple(self.levels[axis].index(trial.labels[axis]) for axis in axes)

    @property
    def tasks(self) -> dict[str, Mapping[str, Any]]:
        """Task title to the header's description, for the kind "train"."""
        return {trial.task["title"]: trial.task for trial in self.trials if "title" in trial.task}

    def title(self, trial: Trial) -> str:
        """The title of a trial's task; one that ended before it knew it has that of the trials with the same choice."""
        return str(trial.task.get("title") or self._titles.get(canonical(trial.spec.get("task")), ""))

    @functools.cached_property
    def _titles(self) -> dict[str, str]:
        return {canonical(trial.spec["task"]): trial.task["title"] for trial in self.trials if "title" in trial.task}

    def on(self, title: str) -> list[Trial]:
        """The trials of the task with this title."""
        return [trial for trial in self.trials if self.title(trial) == title]

    @property
    def task_axis(self) -> tuple[str, ...]:
        """The axis that task titles tell the levels of apart, so that columns or parts can stand for it; else ().

        It is `task`, or `case` where cases choose the task and not the basis, which no title could stand for.
        """
        axis = "case" if "task" in self.parts_of_cases and "basis" not in self.parts_of_cases else "task"
        if axis not in self.axes:
            return ()
        named = {(title, trial.labels[axis]) for trial in self.trials if (title := self.title(trial))}
        return (axis,) if len(named) == len(self.tasks) else ()

    @property
    def labels(self) -> list[str]:
        """What a reader must be told: labels of the file, of the data and of the trials' parts, each once.

        Of several tasks, the labels of the data say whose they are.
        """
        several = len(self.tasks) > 1
        data = [
            f"{self.title(trial)}: {label}" if several else label
            for trial in self.trials
            for label in trial.header.get("data", {}).get("labels", [])
        ]
        parts = [
            label
            for trial in self.trials
            for label in [*trial.header.get("labels", []), *of_parts_together(trial.spec)]
        ]
        return list(dict.fromkeys(map(str, [*(self.ablation.get("labels") or []), *data, *parts])))


@dataclass(frozen=True)
class Evidence:
    """Everything that a report is made from."""

    studies: tuple[Study, ...]
    published: pd.DataFrame = field(default_factory=pd.DataFrame)
    """results/published/lra.csv, empty where it was not found."""

    @property
    def trials(self) -> list[Trial]:
        return [trial for study in self.studies for trial in study.trials]

    @property
    def every_trial(self) -> list[Trial]:
        """The trials, and those by which searches chose their configurations."""
        return [trial for study in self.studies for trial in (*study.trials, *study.tuning)]


def canonical(value: Any) -> str:
    """One text for equal JSON values."""
    return json.dumps(value, sort_keys=True)
