"""A value of the question file becomes a complete choice: its table, its defaults, its version, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness import registry
from harness.ablation import Ablation
from harness.bases import BASES
from harness.errors import UsageError
from harness.kernels import KERNELS
from harness.registry import Table
from harness.spec import Choice
from harness.ssm import MODELS, TIMESCALES
from harness.tasks import TASKS
from harness.throughput import TIMERS
from harness.training import TRAININGS

Place = tuple[str, object]
"""A path under [compare], and a value that stands near what it sets."""


@dataclass(frozen=True)
class Axis:
    """One part of a trial: the table it is chosen from, and the entry that a value without a name means."""

    kind: str
    table: Table
    default: str | None = None


AXES: dict[str, dict[str, Axis]] = {
    "train": {
        "task": Axis("task", TASKS),
        "basis": Axis("basis", BASES),
        "dt": Axis("timescale", TIMESCALES, "log_uniform"),
        "model": Axis("model", MODELS, "s4"),
        "backend": Axis("backend", KERNELS, "auto"),
        "training": Axis("training", TRAININGS, "adamw"),
    },
    "throughput": {
        "timer": Axis("timer", TIMERS, "kernel"),
        "basis": Axis("basis", BASES),
        "dt": Axis("timescale", TIMESCALES, "log_uniform"),
    },
}

SMOKE = {
    "steps": 2,
    "evaluations": 1,
    "warmup_steps": 0,
    "schedule_steps": 2,
    "accumulate": 1,
    "batch_size": 4,
    "batch": 4,
    "eval_batch_size": 4,
    "repeats": 2,
    "train": 16,
    "val": 8,
    "test": 8,
    "examples": 8,
    "evaluation_examples": 8,
}
"""`--smoke` caps these parameters wherever a component has them: a tiny run of every cell."""


class Resolver:
    """Turns a value of the file into a complete choice; each distinct value once."""

    def __init__(self, ablation: Ablation, axes: Mapping[str, Axis], smoke: bool) -> None:
        self.ablation, self.axes, self.smoke = ablation, axes, smoke
        self.choices: dict[str, Choice] = {}
        self.built: dict[int, Any] = {}
        self.checked: set[tuple[int, ...]] = set()

    def __call__(self, name: str, raw: Any, places: Sequence[Place]) -> Choice:
        """The choice of axis `name`, which `places` under [compare] set, or [fixed] alone where there are none."""
        axis = self.axes[name]
        try:
            key = name + json.dumps(raw, sort_keys=True)
        except TypeError:
            section = "compare" if places else "fixed"
            raise self.ablation.wrong(f"{name} holds a date or time; TOML numbers and strings only.", section) from None
        if key not in self.choices:
            try:
                self.choices[key] = resolved(name, axis, raw, self.smoke)
            except UsageError as problem:
                section, (path, hint) = (
                    ("compare", _spoken_of(places, str(problem))) if places else ("fixed", (name, None))
                )
                named = raw.get("name") if isinstance(raw, dict) else raw
                value = named if isinstance(named, str) and f"'{named}'" in str(problem) else hint
                raise located(self.ablation, problem, section, path, value) from None
            self.built[id(self.choices[key])] = registry.build(axis.kind, axis.table, self.choices[key])
        return self.choices[key]

    def check(self, choices: Mapping[str, Choice]) -> None:
        """Raise when components that are each right do not go together."""
        key = tuple(id(choices[name]) for name in choices)
        if key in self.checked:
            return
        self.checked.add(key)
        basis = self.built[id(choices["basis"])]
        whole = self.built[id(choices["model" if "model" in choices else "timer"])]
        try:
            whole.check(basis, choices["basis"]["name"], self.built[id(choices["dt"])])
        except UsageError as problem:
            section = "compare" if {"basis", "case"} & set(self.ablation.compare) else "fixed"
            raise located(self.ablation, problem, section, "basis", choices["basis"]["name"]) from None


def resolved(name: str, axis: Axis, raw: Any, smoke: bool = False) -> Choice:
    """The complete choice that a value means; raises UsageError in a sentence without file and line."""
    given = {} if raw is None else {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(given, dict):
        raise UsageError(f'{name} is {raw!r}; write a name, such as "{next(iter(axis.table))}", or a table.')
    given = {key: value for key, value in given.items() if key != "label"}
    entry = given.pop("name", axis.default)
    if not isinstance(entry, str):
        raise UsageError(f'{name} has no name; write {name} = {{name = "{next(iter(axis.table))}", ...}}.')
    component = registry.lookup(axis.kind, axis.table, entry)
    registry.check_keys(axis.kind, component, entry, given)
    if smoke:
        given |= {key: _capped(given.get(key), cap) for key, cap in SMOKE.items() if key in registry.fields(component)}
    try:
        instance = TypeAdapter(component).validate_json(json.dumps(given), strict=True)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join([name, *(str(part) for part in first["loc"])])
        if first["type"] == "missing":
            raise UsageError(f"{place} is missing; the {axis.kind} '{entry}' needs it.") from None
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise UsageError(f"{place} is {json.dumps(first['input'])}: {message}.") from None
    try:
        complete: Choice = json.loads(json.dumps(registry.choice(entry, instance), allow_nan=False))
    except ValueError:
        raise UsageError(f"{name} holds inf or nan; give a finite number, or leave the parameter out.") from None
    return complete


def _spoken_of(places: Sequence[Place], problem: str) -> Place:
    """Of several places the one that the problem names; else the first, which is the case where there is one."""

    def named(place: Place) -> bool:
        return place[0] in problem or f"'{place[0].rpartition('.')[2]}'" in problem

    return next(filter(named, places), places[0])


def located(ablation: Ablation, problem: Exception, section: str, key: str, value: object = None) -> UsageError:
    """`problem` with the file and the line of `section.key` before it."""
    return ablation.wrong(str(problem), section, key, value)


def _capped(value: Any, cap: int) -> Any:
    """A count cut to `cap`; what is no count is left for validation to speak of."""
    if value is None:
        return cap
    return min(value, cap) if isinstance(value, int) and not isinstance(value, bool) else value
