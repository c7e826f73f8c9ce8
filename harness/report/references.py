"""Scores that need no model (chance, a zero predictor, an oracle), told apart by the task that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from harness.report import words
from harness.report.evidence import Trial

Scores = Mapping[str, float]


def by_task(trials: Iterable[Trial], factor: float) -> dict[str, Scores]:
    """Level of the task to its references, `factor` times their mean over trials; {"": ...} where none is compared.

    Within one task a reference differs only where the data of the seeds do; between lags or lengths it is another.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(_level(trial), []).append(trial)
    return {level: _means(members, factor) for level, members in groups.items()}


def common(groups: Mapping[str, Scores]) -> Scores:
    """The references that hold for every trial: those of the only task, none where several are compared."""
    return next(iter(groups.values())) if len(groups) == 1 else {}


def notes(groups: Mapping[str, Scores], show: Callable[[float], str]) -> list[str]:
    """`Reference, no model, at task.lag 16: zero 0.600.` for each of several tasks."""
    return [
        f"Reference, no model, at {level}: {words.listed(f'{name} {show(value)}' for name, value in scores.items())}."
        for level, scores in groups.items()
        if scores and len(groups) > 1
    ]


def _level(trial: Trial) -> str:
    return words.listed(f"{axis} {label}" for axis, label in trial.labels.items() if axis.partition(".")[0] == "task")


def _means(trials: Iterable[Trial], factor: float) -> Scores:
    found: dict[str, list[float]] = {}
    for trial in trials:
        for name in trial.names("reference"):
            if (value := trial.last("reference", name)) == value:
                found.setdefault(name, []).append(value)
    return {name: factor * float(np.mean(values)) for name, values in found.items()}
