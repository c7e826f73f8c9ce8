"""The primary contrast on each task: its paired difference in sentences, or as a table of several tasks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from harness.contrast import Contrast
from harness.report import words
from harness.report.evidence import Study, Trial
from harness.report.section import Table, ranged, significant
from harness.report.statistics import LEAST_PAIRS_FOR_P, Difference, paired_difference


def matches(trial: Trial, wanted: Contrast) -> bool:
    return trial.labels[wanted.axis] in (wanted.first, wanted.second) and all(
        trial.labels[axis] == label for axis, label in wanted.within.items()
    )


def difference(study: Study, trials: list[Trial], wanted: Contrast) -> Difference:
    """first - second by seed, averaged within a seed over the other axes, where every such pair is there."""
    sides: dict[str, dict[Hashable, float]] = {wanted.first: {}, wanted.second: {}}
    for trial in trials:
        if matches(trial, wanted) and trial.status == "done":
            sides[trial.labels[wanted.axis]][(trial.seed, study.arm(trial, [wanted.axis]))] = trial.score
    first, second = sides[wanted.first], sides[wanted.second]
    places = {study.arm(trial, [wanted.axis]) for trial in trials if matches(trial, wanted)}
    seeds = {
        trial.seed for trial in trials if all((trial.seed, at) in first and (trial.seed, at) in second for at in places)
    }
    means: list[dict[Hashable, float]] = [
        {seed: sum(side[(seed, at)] for at in places) / len(places) for seed in sorted(seeds)}
        for side in (first, second)
    ]
    return paired_difference(*means)


def sentences(title: str, task: Mapping[str, Any], wanted: Contrast, found: Difference) -> list[str]:
    estimate = found.estimate
    pair = f"{wanted.first} minus {wanted.second}"
    where = _where(wanted)
    if estimate.n == 0:
        return [f"{title}: cannot tell. No seed has both {wanted.first} and {wanted.second}{where} done."]
    measured = f"{pair} in {task['primary']}{where} is {words.change(estimate.value, task)}"
    if estimate.n == 1:
        return [
            f"{title}: cannot tell. One seed has no interval.",
            f"On that one seed, the difference {measured} ({words.better(task)}). Raise repeats to learn more.",
        ]
    spread = f"{words.interval(estimate, task)}, {words.count(estimate.n, 'paired seed')}; {words.better(task)}"
    if estimate.covers(0.0):
        headline = f"{title}: cannot tell {wanted.first} from {wanted.second}{where}."
        reading = "The interval covers 0: the seeds do not settle which of the two is better."
    else:
        better = winner(task, wanted, found)
        loser = wanted.second if better == wanted.first else wanted.first
        headline = f"{title}: {better} is better than {loser}{where}."
        reading = "The interval does not cover 0: the difference is larger than chance between seeds explains."
    if found.p is not None:
        test = f"Exact sign-flip test: p = {found.p:.3g}."
    elif estimate.n < LEAST_PAIRS_FOR_P:
        test = f"Fewer than {LEAST_PAIRS_FOR_P} pairs cannot reach p < .05 in an exact test, so none is printed."
    else:
        test = "With so many pairs the interval stands alone."
    return [headline, f"The difference {measured} ({spread}). {reading} {test}"]


def winner(task: Mapping[str, Any], wanted: Contrast, found: Difference) -> str:
    """The level that is better by more than the seeds explain; empty where that cannot be told."""
    if not found.estimate.has_interval or found.estimate.covers(0.0):
        return ""
    return wanted.first if (found.estimate.value > 0) == bool(task["higher_is_better"]) else wanted.second


def summary(wanted: Contrast, found: Mapping[str, tuple[Mapping[str, Any], Difference]]) -> str:
    """One sentence over several tasks: where either level is better, and where neither is shown to be."""
    where: dict[str, list[str]] = {wanted.first: [], wanted.second: [], "": []}
    for title, (task, one) in found.items():
        where[winner(task, wanted, one)].append(title)
    said = [f"{level} is better on {words.listed(titles)}" for level, titles in where.items() if level and titles]
    if where[""]:
        said.append(f"cannot tell {wanted.first} from {wanted.second} on {words.listed(where[''])}")
    return f"{words.count(len(found), 'task')}: {'; '.join(said)}{_where(wanted)}."


def table(name: str, wanted: Contrast, found: Mapping[str, tuple[Mapping[str, Any], Difference]]) -> Table:
    """One row a task."""
    minus = f"{wanted.first} − {wanted.second}"
    rows = [
        {
            "task": title,
            "metric": f"{words.metric(task)}, {words.better(task)}",
            minus: one.estimate.scaled(words.scale(task)),
            "paired seeds": one.estimate.n,
            "p": one.p,
            "better": winner(task, wanted, one) or "cannot tell",
        }
        for title, (task, one) in found.items()
    ]
    return Table(
        f"verdict-{name}",
        f"The primary contrast on each task{_where(wanted)}: mean difference of paired seeds and its 95 % t interval.",
        pd.DataFrame(rows),
        formats={minus: ranged(3), "p": significant(3)},
        notes=(
            "Cannot tell: the interval covers 0, or one seed has none.",
            f"p is of the exact sign-flip test, which fewer than {LEAST_PAIRS_FOR_P} pairs cannot bring below .05.",
            f"{words.count(len(rows), 'contrast')}, each read alone: nothing corrects for their number.",
        ),
    )


def _where(wanted: Contrast) -> str:
    return f" at {words.listed(f'{axis} {label}' for axis, label in wanted.within.items())}" if wanted.within else ""
