"""What the report knows: records gathered into studies, and the published rows."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness import records
from harness.errors import UsageError
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
        return self.last("test", self.header["task"]["primary"]) if self.status == "done" else math.nan


@dataclass(frozen=True)
class Study:
    """The trials of one ablation, described by its newest record."""

    ablation: Mapping[str, Any]
    trials: tuple[Trial, ...]
    set_aside: int = 0
    """Records of earlier forms of the file, which differ in more than the seed from the newest of their arm."""

    @property
    def name(self) -> str:
        return str(self.ablation["name"])

    @property
    def kind(self) -> str:
        return str(self.ablation["kind"])

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(self.ablation["compare"])

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
        return {trial.header["task"]["title"]: trial.header["task"] for trial in self.trials if "task" in trial.header}

    @property
    def task_axis(self) -> tuple[str, ...]:
        """("task",) where task titles tell its levels apart, so that columns or parts can stand for it; else ()."""
        named = {(trial.header["task"]["title"], trial.labels["task"]) for trial in self.trials if "task" in self.axes}
        return ("task",) if "task" in self.axes and len(named) == len(self.tasks) else ()

    @property
    def labels(self) -> list[str]:
        """What a reader must be told: labels of the file and of the data, each once."""
        data = (label for trial in self.trials for label in trial.header.get("data", {}).get("labels", []))
        return list(dict.fromkeys([*map(str, self.ablation.get("labels") or []), *map(str, data)]))


@dataclass(frozen=True)
class Evidence:
    """Everything that a report is made from."""

    studies: tuple[Study, ...]
    published: pd.DataFrame = field(default_factory=pd.DataFrame)
    """results/published/lra.csv, empty where it was not found."""

    @property
    def trials(self) -> list[Trial]:
        return [trial for study in self.studies for trial in study.trials]


def folders(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    """The folders that hold records: each path itself, or its children.

    Raises UsageError when a path does not exist or no record is found.
    """
    given = [Path(paths)] if isinstance(paths, Path | str) else [Path(path) for path in paths]
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            raise UsageError(f"The results folder '{path}' does not exist. Run an ablation first, or mend the path.")
        candidates = [path, *sorted(child for child in path.iterdir() if child.is_dir())]
        found += [folder for folder in candidates if any(folder.glob("*.jsonl*"))]
    if not found:
        places = ", ".join(f"'{path}'" for path in given) or "an empty list"
        raise UsageError(
            f"There is no trial record in {places}. Run an ablation first: harness run ablations/NAME.toml."
        )
    return list(dict.fromkeys(found))


def read_folder(folder: Path) -> list[Record]:
    """Every record of a folder, in the order of trial ids; a finished file wins over a partial one."""
    return [records.read(state.path) for _, state in sorted(records.scan(folder).items())]


def studies(paths: Path | str | Iterable[Path | str]) -> tuple[Study, ...]:
    """The studies found under the paths, in the order of the paths and of their names."""
    groups: dict[str, list[Record]] = {}
    for folder in folders(paths):
        for record in read_folder(folder):
            groups.setdefault(record.header["ablation"]["name"], []).append(record)
    if not groups:
        raise UsageError("No record has a readable header yet. Wait for the first trial, or remove the broken files.")
    return tuple(_study(group) for group in groups.values())


def _study(group: list[Record]) -> Study:
    """Keep what belongs to the newest form of the file; set the rest aside and count it."""
    newest_first = sorted(group, key=lambda record: (-float(record.header["created"]), record.trial_id))
    ablation = newest_first[0].header["ablation"]
    identity: dict[str, str] = {}
    taken: set[tuple[str, int]] = set()
    kept = []
    for record in newest_first:
        trial = Trial(record)
        arm = json.dumps(trial.labels, sort_keys=True)
        rest = json.dumps({key: value for key, value in trial.spec.items() if key != "seed"}, sort_keys=True)
        fits = set(trial.labels) == set(ablation["compare"]) and all(
            label in map(str, ablation["levels"][axis]) for axis, label in trial.labels.items()
        )
        if fits and identity.setdefault(arm, rest) == rest and (arm, trial.seed) not in taken:
            taken.add((arm, trial.seed))
            kept.append(trial)
    whole = Study(ablation, tuple(kept), set_aside=len(group) - len(kept))
    ordered = tuple(trial for trials in whole.arms().values() for trial in trials)
    return Study(ablation, ordered, whole.set_aside)
