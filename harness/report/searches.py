"""The records of a search: which are of its tuning stage, and what each of its configurations came to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.records import Record
from harness.report.evidence import Arm, Study, Trial, canonical

TUNING, CONFIRMATION = "tuning", "confirmation"


@dataclass(frozen=True)
class Configuration:
    """A suggestion of one arm and its trials, one for each tuning seed."""

    index: int
    values: Mapping[str, Any]
    trials: tuple[Trial, ...]

    @property
    def status(self) -> str:
        """The first that is not done."""
        return next((trial.status for trial in self.trials if trial.status != "done"), "done")

    @property
    def score(self) -> float:
        """The mean over its seeds of the best on validation, up to where each ended; nan where one has none."""
        return statistics.fmean(best_on_validation(trial)[1] for trial in self.trials)


def best_on_validation(trial: Trial) -> tuple[int, float]:
    """(step, value) of the best finite score in the task's primary metric, the earliest of equals."""
    task = trial.task
    series = [pair for pair in trial.series("val", task.get("primary", "")) if math.isfinite(pair[1])]
    sign = 1 if task.get("higher_is_better") else -1
    return max(series, key=lambda pair: sign * pair[1], default=(0, math.nan))


def configurations(study: Study) -> dict[Arm, list[Configuration]]:
    """The tuning stage of each arm, in the order of its suggestions."""
    found: dict[Arm, dict[int, list[Trial]]] = {}
    for trial in study.tuning:
        found.setdefault(study.arm(trial), {}).setdefault(trial.tune["index"], []).append(trial)
    return {
        arm: [Configuration(index, trials[0].tune["values"], tuple(trials)) for index, trials in sorted(by.items())]
        for arm, by in found.items()
    }


def chosen(tried: Sequence[Configuration], higher_is_better: bool) -> Configuration | None:
    """The best that is done, the earliest of equals: what is confirmed."""
    done = [one for one in tried if one.status == "done" and math.isfinite(one.score)]
    return (max if higher_is_better else min)(done, key=lambda one: one.score, default=None)


def parts(record: Record) -> set[str]:
    """The parts of the spec that the record's search tunes."""
    space = record.header["ablation"].get("tune", {}).get("space", {})
    return {str(path).partition(".")[0] for path in space}


def final(newest_first: Iterable[Trial]) -> list[Trial]:
    """The trials whose scores may count: none of a tuning stage, and those of a confirmation before any other."""
    kept = [trial for trial in newest_first if trial.stage != TUNING]
    return sorted(kept, key=lambda trial: trial.stage != CONFIRMATION)


def tuning(newest_first: Sequence[Trial]) -> tuple[Trial, ...]:
    """Of the tuning trials of each arm those that share with its newest one all but their values, in its space."""
    found: dict[tuple[str, int, int], Trial] = {}
    newest: dict[str, Mapping[str, Any]] = {}
    for trial in newest_first:
        tune, arm = trial.tune, canonical(trial.labels)
        if trial.stage != TUNING:
            continue
        shared = newest.setdefault(arm, tune)
        if tune["search"] == shared["search"] and _inside(tune["values"], shared["space"]):
            found.setdefault((arm, tune["index"], trial.seed), trial)
    return tuple(trial for _, trial in sorted(found.items()))


def _inside(values: Mapping[str, Any], space: Mapping[str, Any]) -> bool:
    return set(values) == set(space) and all(
        value in space[path] if isinstance(space[path], list) else space[path]["low"] <= value <= space[path]["high"]
        for path, value in values.items()
    )
