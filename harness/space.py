"""What stands under [tune]: a search's method and budget, and the values that each parameter may take.

    [tune]
    method = "tpe"                                     # grid, random, tpe or cmaes
    trials = 16                                        # configurations for every arm
    lr = {low = 1e-4, high = 1e-2, log = true}         # training.lr: a parameter of the training may be short
    model.dropout = [0.0, 0.1]
    model.n_layers = {low = 2, high = 6, step = 2}     # integers

Integers in a range give integers, anything else floats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from harness.ablation import Ablation
from harness.errors import UsageError, did_you_mean, unknown

METHODS = ("grid", "random", "tpe", "cmaes")
PRUNERS = ("asha", "median")
SETTINGS = ("method", "trials", "pruner", "seeds", "batch")
TUNING_SEED = 1_000_000
"""The first seed of the tuning stage; confirmation has the seeds from 0 on, so that no score is chosen by its own."""
SMOKE_TRIALS = 2
MOST_CORNERS = 256
Values = dict[str, Any]
"""Parameter path to value: one point of a space."""


@dataclass(frozen=True)
class Parameter:
    """One parameter and its values: a list of choices, or a range."""

    path: str
    """`training.lr`."""
    key: str
    """As the file writes it."""
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None

    @property
    def integer(self) -> bool:
        return all(isinstance(one, int) for one in (self.low, self.high, self.step or 0))

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.choices or (self.low, self.high)

    def points(self) -> Sequence[Any] | None:
        """Every value, None where there is no end of them."""
        if self.choices:
            return self.choices
        if self.integer:
            return range(int(self.low), int(self.high) + 1, int(self.step or 1))
        if self.step is None:
            return None
        low, high, step = (Decimal(str(one)) for one in (self.low, self.high, self.step))
        return tuple(float(low + count * step) for count in range(int((high - low) / step) + 1))

    def contains(self, value: Any) -> bool:
        if self.choices:
            return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in self.choices)
        if not isinstance(value, int if self.integer else int | float) or isinstance(value, bool):
            return False
        return (
            value in range(int(self.low), int(self.high) + 1, int(self.step or 1))
            if self.integer
            else (self.low <= value <= self.high)
        )

    def as_json(self) -> Any:
        if self.choices:
            return list(self.choices)
        step = {} if self.step is None else {"step": self.step}
        return {"low": self.low, "high": self.high, "log": self.log, **step}


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
        raise ablation.wrong("[tune] is for kind 'train'; a timing has no validation score. Remove it.", "tune")
    if ablation.tolerance is not None:
        raise ablation.wrong("tolerance compares arms that train alike, and [tune] changes them; keep one.", "tune")
    method = given.get("method")
    if method not in METHODS:
        if method is None:
            raise ablation.wrong(f"tune.method is missing. Choose one of: {', '.join(METHODS)}.", "tune")
        raise ablation.wrong(str(unknown("method in [tune]", str(method), METHODS)), "tune", "method")
    pruner = given.get("pruner", "none")
    if pruner not in (*PRUNERS, "none"):
        raise ablation.wrong(str(unknown("pruner in [tune]", str(pruner), (*PRUNERS, "none"))), "tune", "pruner")
    parameters = {key: value for key, value in given.items() if key not in SETTINGS}
    space = tuple(_walked(ablation, axes, short, "", parameters))
    if not space:
        raise ablation.wrong(
            "[tune] names no parameter. Add one, such as lr = {low = 1e-4, high = 1e-2, log = true}.", "tune"
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
    size = _size(space)
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
        raise ablation.wrong(f"tune.{key} is missing. Add {key} = 16, the configurations for every arm.", "tune")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ablation.wrong(f"tune.{key} is {value!r}; it must be an integer of at least 1.", "tune", key)
    return value


def _walked(
    ablation: Ablation, axes: Collection[str], short: Collection[str], prefix: str, table: Mapping[str, Any]
) -> Iterator[Parameter]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and not _is_range(value):
            if key in short or not value:
                raise ablation.wrong(f"tune.{key} is {value!r}; a range needs low and high.", "tune", key)
            yield from _walked(ablation, axes, short, f"{key}.", value)
            continue
        try:
            path = _path(key, axes, short)
            yield _range(path, key, value) if isinstance(value, dict) else _listed(path, key, value)
        except UsageError as problem:
            raise ablation.wrong(str(problem), "tune", key) from None


def _is_range(table: Mapping[str, Any]) -> bool:
    """A table of numbers, against a table of parameters: `model.dropout = [...]` is read as nested tables."""
    return bool({"low", "high"} & set(table))


def _path(key: str, axes: Collection[str], short: Collection[str]) -> str:
    head, dot, _ = key.partition(".")
    if head == "task":
        raise UsageError(f"tune.{key}: a search may not change the task, whose score it compares. Compare it instead.")
    if head in axes and dot:
        return key
    if head in axes:
        raise UsageError(f"tune.{key}: name one parameter of it, such as {key}.NAME, or compare {key} instead.")
    if key in short:
        return f"training.{key}"
    known = [*short, *(f"{axis}.NAME" for axis in axes if axis not in ("task", "training"))]
    raise unknown("parameter in [tune]", key, known)


def _listed(path: str, key: str, value: Any) -> Parameter:
    if not isinstance(value, list):
        raise UsageError(f"tune.{key} is {value!r}; give a list of choices, or a range such as {{low = 1, high = 8}}.")
    if not value:
        raise UsageError(f"tune.{key} is empty; give at least two choices.")
    if any(not isinstance(one, str | int | float) or not _finite(one) for one in value):
        raise UsageError(f"tune.{key} is {value!r}; its choices must be finite numbers, texts or truth values.")
    if len({(type(one), one) for one in value}) < len(value) or len(value) == 1:
        raise UsageError(f"tune.{key} is {value!r}; give at least two choices, each once.")
    return Parameter(path, key, choices=tuple(value))


def _range(path: str, key: str, table: Mapping[str, Any]) -> Parameter:
    known = ("low", "high", "log", "step")
    for name in table:
        if name not in known:
            raise UsageError(f"tune.{key} has no '{name}'. {did_you_mean(name, known)}A range has: {', '.join(known)}.")
    low, high, log, step = (table.get(name) for name in known)
    numbers = {"low": low, "high": high} | ({} if step is None else {"step": step})
    for name, value in numbers.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not _finite(value):
            raise UsageError(f"tune.{key}: {name} is {value!r}; a range needs finite numbers for low and high.")
    assert isinstance(low, int | float) and isinstance(high, int | float)
    if not isinstance(log, bool | None):
        raise UsageError(f"tune.{key}: log is {log!r}; write true or false.")
    if low >= high:
        raise UsageError(f"tune.{key}: low is {low}, not below high, which is {high}.")
    if log and low <= 0:
        raise UsageError(f"tune.{key}: low is {low}, but a logarithmic range must begin above 0.")
    if log and step is not None:
        raise UsageError(f"tune.{key}: a logarithmic range has no step. Remove log or step.")
    if step is not None and not 0 < step <= high - low:
        raise UsageError(f"tune.{key}: step is {step}; it must be above 0 and at most high - low.")
    parameter = Parameter(path, key, (), low, high, bool(log), step)
    return parameter if parameter.integer else Parameter(path, key, (), float(low), float(high), bool(log), step)


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _size(space: Collection[Parameter]) -> int | None:
    """The number of points, None where there is no end of them."""
    counts = [None if (points := one.points()) is None else len(points) for one in space]
    return None if None in counts else math.prod(count for count in counts if count is not None)


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
