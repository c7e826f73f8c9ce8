"""Early stopping in the tuning stage: what a trial must reach at which step, and the supervisor's watch over it.

The demands are made from the finished trials of an arm before the new one begins, so that what becomes of it does not
depend on who else is running. Scores are the task's primary metric on validation, the best so far.

ASHA: asynchronous successive halving (Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm
2) in the form that stops: of the trials that have come to a rung, those outside the best 1/ETA end there. Rungs lie at
the evaluations 1, ETA, ETA^2, ...
Median: a trial ends where its best so far is worse than the median of the other trials' running means (Golovin et al.
2017, Google Vizier, section 3.2.1).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from harness.records import Row

ETA = 3
LEAST_PEERS = 3
"""The median of fewer says nothing."""
Curve = Sequence[tuple[int, float]]
"""(step, score on validation) at each evaluation, in order."""
Demand = tuple[int, float, str]
"""Step, the worst score that goes on, and what it is."""


def demands(pruner: str, peers: Sequence[Curve], higher_is_better: bool, last_step: int | None) -> list[Demand]:
    """What a new trial must reach before `last_step`, given the curves of the finished ones."""
    steps = sorted({step for curve in peers for step, _ in curve if last_step is None or step < last_step})
    rule = {"asha": _asha, "median": _median}[pruner]
    return [demand for at, step in enumerate(steps, 1) if (demand := rule(at, step, peers, higher_is_better))]


def _asha(at: int, step: int, peers: Sequence[Curve], higher: bool) -> Demand | None:
    """The score of the k-th best of m peers, where the best k = floor((m + 1) / ETA) of all go on."""
    if ETA ** round(math.log(at, ETA)) != at:
        return None
    here = sorted((best_by(curve, step, higher) for curve in peers if reaches(curve, step)), reverse=higher)
    k = (len(here) + 1) // ETA
    return (step, here[k - 1], f"the best {k} of {len(here) + 1}") if k else None


def _median(at: int, step: int, peers: Sequence[Curve], higher: bool) -> Demand | None:
    means = [statistics.fmean(score for s, score in curve if s <= step) for curve in peers if reaches(curve, step)]
    if len(means) < LEAST_PEERS:
        return None
    return step, statistics.median(means), f"the median of {len(means)}"


def reaches(curve: Curve, step: int) -> bool:
    return any(s == step for s, _ in curve)


def best_by(curve: Curve, step: int, higher: bool) -> float:
    """The best score at or before `step`."""
    return (max if higher else min)(score for s, score in curve if s <= step)


class Watch:
    """Reads the rows of a trial and says when it is to end. `given` is its job's `stopping`; None never ends it."""

    def __init__(self, given: Mapping[str, Any] | None) -> None:
        self.given = given
        self.restart(())

    def restart(self, rows: Sequence[Row]) -> None:
        """Begin again with the rows that the record holds."""
        self.best: float | None = None
        self.verdict: tuple[str, str] | None = None
        self.step: int | None = None
        for row in rows:
            self.see(row)

    def see(self, row: Row) -> None:
        if self.given is None or self.verdict or (row.get("split"), row.get("name")) != ("val", self.given["metric"]):
            return
        value, step, higher = row["value"], row["step"], self.given["higher_is_better"]
        if math.isnan(value):
            # Every comparison with nan is false, so that no demand would ever end it.
            self.verdict, self.step = ("diverged", f"The {row['name']} on validation was nan at step {step}."), step
            return
        self.best = value if self.best is None else (max if higher else min)(self.best, value)
        for at, demand, of in self.given["demands"]:
            if at == step and (self.best < demand if higher else self.best > demand):
                reason = (
                    f"Stopped at step {step} by {self.given['pruner']}: its best {row['name']} on validation, "
                    f"{self.best:.4g}, is worse than {demand:.4g}, {of} tuning trials of its arm."
                )
                self.verdict, self.step = ("stopped", reason), step
