"""Sentences that several sections share: how a metric reads, how many seeds, which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.report.evidence import Arm, Study, Trial
from harness.report.section import Format, number, plain, significant
from harness.report.statistics import Estimate, mean_interval


def percent(task: Mapping[str, Any]) -> bool:
    """Accuracies are shares in the record and percentages in print, as in the literature."""
    return "accuracy" in str(task["primary"])


def scale(task: Mapping[str, Any]) -> float:
    return 100.0 if percent(task) else 1.0


def metric(task: Mapping[str, Any]) -> str:
    return f"{task['primary']} (%)" if percent(task) else str(task["primary"])


def score_format(task: Mapping[str, Any]) -> Format:
    return number(1) if percent(task) else number(4)


def reference_format(task: Mapping[str, Any]) -> Format:
    return number(1) if percent(task) else significant(3)


def better(task: Mapping[str, Any]) -> str:
    return "higher is better" if task["higher_is_better"] else "lower is better"


def count(n: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    words = list(items)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def value(score: float, task: Mapping[str, Any]) -> str:
    """A score in print: `58.1 %` or `0.0123`."""
    return f"{100 * score:.1f} %" if percent(task) else plain(score)


def change(difference: float, task: Mapping[str, Any]) -> str:
    """A difference of scores in print: `+4.2 points` or `-0.0123`."""
    return f"{100 * difference:+.1f} points" if percent(task) else signed(difference)


def signed(number_: float) -> str:
    return f"+{plain(number_)}" if number_ > 0 else plain(number_)


def interval(estimate: Estimate, task: Mapping[str, Any]) -> str:
    """`95 % interval 1.2 to 3.4 points`."""
    if percent(task):
        return f"95 % interval {100 * estimate.low:+.1f} to {100 * estimate.high:+.1f} points"
    return f"95 % interval {signed(estimate.low)} to {signed(estimate.high)}"


def cell(trials: Sequence[Trial], factor: float = 1.0) -> Estimate:
    """The mean score of an arm over its seeds, with its t interval; trials that are not done do not count."""
    return mean_interval([trial.score * factor for trial in trials if trial.status == "done"])


def arm_name(arm: Arm) -> str:
    return " · ".join(arm) or "all"


def seeds_sentence(cells: Iterable[Estimate]) -> str:
    """How many values stand behind the cells of a table, and what ± means."""
    sizes = sorted({one.n for one in cells if one.n})
    if not sizes:
        return "No trial of this table is done."
    if sizes == [1]:
        return "One seed in every cell: there is no interval, and a difference between two cells may be chance alone."
    how_many = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return f"Mean ± half-width of the 95 % t interval over {how_many} seeds."


def fewer(study: Study, arms: Mapping[Arm, Sequence[Trial]]) -> list[str]:
    """A sentence for each arm whose cell rests on fewer seeds than were planned."""
    repeats = int(study.ablation["repeats"])
    said = []
    for arm, trials in arms.items():
        done = sum(trial.status == "done" for trial in trials)
        if done < repeats:
            others = pd.Series([trial.status for trial in trials if trial.status != "done"]).value_counts()
            why = [f"{n} {status}" for status, n in sorted(others.items())]
            absent = repeats - len(trials)
            why += [f"{absent} without a record"] if absent > 0 else []
            said.append(f"{arm_name(arm)}: {done} of {count(repeats, 'seed')} done ({listed(why)}).")
    return said
