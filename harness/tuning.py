"""What stands under [tune]: how a search goes about its space, and how long.

[tune]
method = "tpe"                                     # grid, random, tpe or cmaes
trials = 16                                        # configurations for every arm
lr = {low = 1e-4, high = 1e-2, log = true}         # the space, see `harness.space`
pruner = "asha"                                    # or "median": stop hopeless trials early; default: none
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.ablation import Ablation
from harness.errors import unknown
from harness.space import Parameter, Values, parameters
from harness.space import size as size_of

METHODS = ("grid", "random", "tpe", "cmaes")
PRUNERS = ("asha", "median")
SETTINGS = ("method", "trials", "pruner", "seeds", "batch")
TUNING_SEED = 1_000_000
"""The first seed of the tuning stage; confirmation has the seeds from 0 on, so that no score is chosen by its own."""
SMOKE_TRIALS = 2
MOST_CORNERS = 256


@dataclass(frozen=True)
class Tune:
    """A search, the same for every arm."""

    method: str
    trials: int
    """Configurations of an arm, each counted once; fewer where the space has fewer."""
    pruner: str | None
    seeds: int
    """Seeds on which a configuration is tried; its score is the mean."""
    batch: int
    """Configurations of an arm that are suggested at once: neither sampler nor pruner knows the others of its batch."""
    space: tuple[Parameter, ...]

    def corners(self) -> Iterator[Values]:
        """The points at the ends of every range and choice, at most `MOST_CORNERS`; what goes there goes between."""
        ends = itertools.product(*(parameter.ends for parameter in self.space))
        for corner in itertools.islice(ends, MOST_CORNERS):
            yield dict(zip((parameter.path for parameter in self.space), corner, strict=True))

    def contains(self, values: Mapping[str, Any]) -> bool:
        return set(values) == {parameter.path for parameter in self.space} and all(
            parameter.contains(values[parameter.path]) for parameter in self.space
        )

    def as_json(self) -> dict[str, Any]:
        """What every record of the search carries."""
        space = {parameter.path: parameter.as_json() for parameter in self.space}
        return {
            "method": self.method,
            "trials": self.trials,
            "pruner": self.pruner,
            "seeds": self.seeds,
            "batch": self.batch,
            "seed": TUNING_SEED,
            "space": space,
        }


def tune_of(ablation: Ablation, axes: Collection[str], short: Collection[str], smoke: bool = False) -> Tune:
    """The checked [tune] of a file; `short` are the parameters that need no axis before them, those of the training.

    Raises UsageError with file, line and the fix.
    """
    given = ablation.tune or {}
    if ablation.kind != "train":
        raise ablation.wrong("[tune] is for kind 'train'; a timing has no validation score. Remove it.", "", "tune")
    if ablation.tolerance is not None:
        raise ablation.wrong("tolerance compares arms that train alike, and [tune] changes them; keep one.", "", "tune")
    method = given.get("method")
    if method not in METHODS:
        if method is None:
            raise ablation.wrong(f"tune.method is missing. Choose one of: {', '.join(METHODS)}.", "", "tune")
        raise ablation.wrong(str(unknown("method in [tune]", str(method), METHODS)), "tune", "method")
    pruner = given.get("pruner", "none")
    if pruner not in (*PRUNERS, "none"):
        raise ablation.wrong(str(unknown("pruner in [tune]", str(pruner), (*PRUNERS, "none"))), "tune", "pruner")
    tuned = {key: value for key, value in given.items() if key not in SETTINGS}
    space = tuple(parameters(ablation, axes, short, "", tuned))
    if not space:
        raise ablation.wrong(
            "[tune] names no parameter. Add one, such as lr = {low = 1e-4, high = 1e-2, log = true}.", "", "tune"
        )
    if twice := [one.key for one in space if [other.path for other in space].count(one.path) > 1]:
        raise ablation.wrong(f"tune has {' and '.join(twice)}, which are one parameter; keep one.", "tune", twice[1])
    _check_method(ablation, method, space)
    if pruner != "none" and (steps := [one for one in space if one.path in ("training.steps", "training.evaluations")]):
        raise ablation.wrong(
            f"tune.{steps[0].key}: a pruner compares trials at the same steps, so it cannot be tuned with "
            f"pruner = '{pruner}'. Remove one of them.",
            "tune",
            steps[0].key,
        )
    size = size_of(space)
    trials = size if method == "grid" and "trials" not in given else _count(ablation, given, "trials")
    assert trials is not None
    if method == "grid" and trials != size:
        raise ablation.wrong(
            f"tune.trials is {trials}, but the grid has {size} points. Leave trials out, or use another method.",
            "tune",
            "trials",
        )
    trials = min(trials, size or trials, *([SMOKE_TRIALS] if smoke else []))
    at_once = trials if method in ("grid", "random") and pruner == "none" else 1
    return Tune(
        method=method,
        trials=trials,
        pruner=None if pruner == "none" else pruner,
        seeds=1 if smoke else _count(ablation, given, "seeds", 1),
        batch=min(trials, _count(ablation, given, "batch", at_once)),
        space=space,
    )


def _count(ablation: Ablation, given: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = given.get(key, default)
    if value is None:
        raise ablation.wrong(f"tune.{key} is missing. Add {key} = 16, the configurations for every arm.", "", "tune")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ablation.wrong(f"tune.{key} is {value!r}; it must be an integer of at least 1.", "tune", key)
    return value


def _check_method(ablation: Ablation, method: str, space: Collection[Parameter]) -> None:
    for one in space:
        if method == "grid" and one.points() is None:
            raise ablation.wrong(
                f"tune.{one.key} is a continuous range, of which a grid has no points. Give a list or a step.",
                "tune",
                one.key,
            )
        if method == "cmaes" and one.choices:
            raise ablation.wrong(
                f"tune.{one.key} is a list, but cmaes searches ranges alone. Give a range, or use tpe.", "tune", one.key
            )
    if method == "cmaes" and len(space) < 2:
        raise ablation.wrong("cmaes needs two ranges or more; use tpe for one.", "tune", "method")
