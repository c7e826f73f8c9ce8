"""A preset stands beneath an ablation: what the file leaves out is what the recipe says of the task.

    value of an axis = what its component defaults to < preset, every task < preset, this task < [fixed] < [compare]

A tuned parameter stands where [compare] does. Parameters are merged one by one. The word "default" takes a parameter
out of the preset again, and another name (of a basis, a training, ...) than the preset's leaves nothing of the preset
in that axis.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError, unknown
from harness.presets import PRESETS

NO_VALUE = "default"
Tables = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Preset:
    """A recipe, with where every number comes from."""

    name: str
    title: str
    source: str
    departures: tuple[str, ...]
    """What this harness does otherwise than the source."""
    labels: tuple[str, ...]
    """What a reader must be told beside every result."""
    tasks: Mapping[str, Tables]
    """Task to axis to parameters."""
    sources: Mapping[str, str]
    """Task to the file its numbers are from, where it has one of its own."""

    def beneath(self, values: Mapping[str, Any], defaults: Mapping[str, str | None]) -> dict[str, Any]:
        """The axes' values with the preset's beneath; `defaults` are the names that values without one mean.

        Raises UsageError where the preset does not have the task.
        """
        task = (
            values["task"]["name"] if isinstance(values["task"], dict) and "name" in values["task"] else values["task"]
        )
        if not isinstance(task, str):
            return dict(values)
        if task not in self.tasks:
            others = [name for name in PRESETS if task in load(name).tasks]
            raise UsageError(
                f"The preset '{self.name}' has no task '{task}'. It has: {', '.join(self.tasks)}. "
                f"Presets that have '{task}': {', '.join(others) or 'none'}."
            )
        own = self.tasks[task]
        return {axis: _over(own.get(axis, {}), value, defaults[axis]) for axis, value in values.items()}


def _over(own: Mapping[str, Any], value: Any, default: str | None) -> Any:
    given = {} if value is None else {"name": value} if isinstance(value, str) else value
    if not own or not isinstance(given, dict):
        return value
    mine = own.get("name", default)
    if mine is not None and given.get("name", mine) != mine:
        return value
    kept = {key: one for key, one in own.items() if given.get(key) != NO_VALUE}
    return {**kept, **{key: one for key, one in given.items() if key not in own or one != NO_VALUE}}


@functools.cache
def load(name: str) -> Preset:
    """The preset of this name. Raises UsageError naming the nearest one."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    document = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))
    every: dict[str, dict[str, Any]] = document["every"]
    tasks, sources = {}, {}
    for task, tables in document["task"].items():
        if "source" in tables:
            sources[task] = tables.pop("source")
        axes = dict.fromkeys([*every, *tables])
        tasks[task] = {axis: {**every.get(axis, {}), **tables.get(axis, {})} for axis in axes}
    departures, labels = tuple(document["departures"]), tuple(document.get("labels", ()))
    return Preset(name, document["title"], document["source"], departures, labels, tasks, sources)
