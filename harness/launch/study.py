"""One arm's search as an Optuna study, which asks for configurations and is told their scores.

The study lives in memory and is rebuilt from the records: a suggestion that has a record keeps the record's values, and
every other is asked for anew. Its sampler is seeded by the file's text, the arm and its number, so that it depends on
the earlier trials of its arm alone, and a search that was cut suggests what it would have suggested.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from harness.launch.stopping import Curve
from harness.search import TUNING, Candidates, Search
from harness.space import Parameter, Values

MOST_SUGGESTIONS = 10
"""Suggestions for each configuration of the budget, after which a sampler that repeats itself is let go."""
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Result:
    """What became of a configuration: `done` with its score, or another status."""

    status: str
    curve: Curve = ()
    """Means over its seeds, at the steps that all of them have."""
    peers: tuple[Curve, ...] = ()
    """The curve of each seed."""
    score: float | None = None
    began: float = 0.0
    ended: float = 0.0


@dataclass(eq=False)
class Suggestion:
    """A configuration of an arm; its number is that of the suggestion that first named it."""

    number: int
    values: Values
    jobs: list[dict[str, Any]]
    asked: optuna.Trial
    result: Result | None = None


class Study:
    """The suggestions of one arm so far, in order, each configuration once."""

    def __init__(self, search: Search, arm: Candidates, recorded: Mapping[int, Values]) -> None:
        self.search, self.arm, self.tune = search, arm, search.tune
        # The points of a grid and their order are known; values from records would hide which of them are left.
        self.recorded = {} if self.tune.method == "grid" else recorded
        self.optuna = optuna.create_study(direction="maximize" if arm.task.higher_is_better else "minimize")
        self.suggestions: list[Suggestion] = []
        self.known: dict[str, Suggestion] = {}
        self.open: list[Suggestion] = []

    def advance(self, result: Callable[[Suggestion], Result | None]) -> None:
        """Go on as far as the records allow: tell each batch that has ended, in order, and ask for the next."""
        while True:
            results = [result(one) for one in self.open]
            if any(one is None for one in results):
                return
            for suggestion, one in zip(self.open, results, strict=True):
                assert one is not None
                self._tell(suggestion, one)
            self.open = self._batch()
            if not self.open:
                return

    @property
    def over(self) -> bool:
        """Whether every suggestion has ended and there will be no more."""
        return not self.open

    @property
    def best(self) -> Suggestion | None:
        """The configuration with the best score, the earliest of equals; None when none has one."""
        pick = max if self.arm.task.higher_is_better else min
        scored = [one for one in self.suggestions if one.result is not None and one.result.score is not None]
        return pick(scored, key=lambda one: one.result.score, default=None)  # type: ignore[union-attr,arg-type,return-value]

    def _batch(self) -> list[Suggestion]:
        batch: list[Suggestion] = []
        while len(batch) < self.tune.batch and len(self.suggestions) < self.tune.trials:
            number = len(self.optuna.trials)
            if number >= self.tune.trials * MOST_SUGGESTIONS:
                break
            self.optuna.sampler = self._sampler(number)
            if number in self.recorded:
                self.optuna.enqueue_trial(self.recorded[number])
            with warnings.catch_warnings():
                # Optuna marks several of its samplers' arguments as experimental.
                warnings.simplefilter("ignore")
                asked = self.optuna.ask({one.path: distribution(one) for one in self.tune.space})
            values = {one.path: asked.params[one.path] for one in self.tune.space}
            jobs = self.search.jobs(self.arm, TUNING, number, values)
            first = self.known.setdefault(jobs[0]["trial_id"], Suggestion(number, values, jobs, asked))
            if first.number != number:
                asked.set_user_attr("repeats", first.number)
                self._end(asked, TrialState.FAIL)
                continue
            batch.append(first)
            self.suggestions.append(first)
        return batch

    def _tell(self, suggestion: Suggestion, result: Result) -> None:
        suggestion.result, trial = result, suggestion.asked
        trial.set_user_attr("status", result.status)
        trial.set_user_attr("trial_ids", [job["trial_id"] for job in suggestion.jobs])
        trial.set_user_attr("clock", [result.began, result.ended])
        for step, score in result.curve:
            trial.report(score, step)
        # A sampler learns from a pruned trial to keep away, from a failed one nothing.
        pruned = result.status in ("stopped", "diverged")
        state = TrialState.PRUNED if pruned else TrialState.FAIL
        self._end(trial, TrialState.COMPLETE if result.score is not None else state, result.score)

    def _end(self, trial: optuna.Trial, state: TrialState, score: float | None = None) -> None:
        # A grid's sampler would end a loop of Optuna's own here, and there is none.
        self.optuna.sampler = RandomSampler()
        self.optuna.tell(trial, score, state=state)

    def _sampler(self, number: int) -> BaseSampler:
        text = repr([self.search.about["text"], sorted(self.arm.labels.items()), number])
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        match self.tune.method:
            case "grid":
                return GridSampler({one.path: list(one.points() or ()) for one in self.tune.space}, seed=0)
            case "random":
                return RandomSampler(seed=seed)
            case "cmaes":
                return CmaEsSampler(seed=seed)
            case _:
                return TPESampler(seed=seed)


def distribution(parameter: Parameter) -> BaseDistribution:
    """A parameter in Optuna's words."""
    low, high, step = parameter.low, parameter.high, parameter.step
    if parameter.choices:
        return CategoricalDistribution(parameter.choices)
    if parameter.integer:
        return IntDistribution(int(low), int(high), log=parameter.log, step=int(step or 1))
    return FloatDistribution(low, high, log=parameter.log, step=step)
