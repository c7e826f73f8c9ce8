"""The space of a search: the parameters that [tune] names, and the values that each may take.

lr = {low = 1e-4, high = 1e-2, log = true}         # training.lr: a parameter of the training may be short
model.dropout = [0.0, 0.1]                         # a list of choices
model.n_layers = {low = 2, high = 6, step = 2}     # integers, because all of them are; else floats
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from harness.ablation import Ablation
from harness.errors import UsageError, did_you_mean, unknown

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


def parameters(
    ablation: Ablation, axes: Collection[str], short: Collection[str], prefix: str, table: Mapping[str, Any]
) -> Iterator[Parameter]:
    """The parameters of a table of [tune]. Raises UsageError with file, line and the fix."""
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and not _is_range(value):
            if key in short or not value:
                raise ablation.wrong(f"tune.{key} is {value!r}; a range needs low and high.", "tune", key)
            yield from parameters(ablation, axes, short, f"{key}.", value)
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


def size(space: Collection[Parameter]) -> int | None:
    """The number of points, None where there is no end of them."""
    counts = [None if (points := one.points()) is None else len(points) for one in space]
    return None if None in counts else math.prod(count for count in counts if count is not None)
