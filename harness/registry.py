"""Names and the classes behind them.

A room's table maps a name to a class or to "module:Class", imported on first use, so that listing names
costs nothing. A registered class is a frozen dataclass: its fields are its parameters, its `version`
(a class attribute) is raised when its results change, and the first line of its docstring says what it is.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError, did_you_mean, unknown

Table = dict[str, Any]
ENTRY_POINT_GROUP = "harness.plugins"
PLUGIN_PREFIX = "harness_plugin_"
"""Begins the name of a module that was loaded from a user's file."""


def lookup(kind: str, table: Mapping[str, Any], name: str) -> type[Any]:
    """The class registered as `name`. Raises UsageError naming the nearest entry."""
    if name not in table:
        raise unknown(kind, name, table)
    entry = table[name]
    if isinstance(entry, str):
        module, _, attribute = entry.partition(":")
        entry = getattr(importlib.import_module(module), attribute)
    if not dataclasses.is_dataclass(entry) or not isinstance(entry, type):
        raise UsageError(f"The {kind} '{name}' is registered as {entry!r}, which is not a dataclass. Decorate it.")
    return entry


def fields(component: type[Any]) -> tuple[str, ...]:
    """The parameter names of a registered class."""
    return tuple(field.name for field in dataclasses.fields(component) if field.init)


def check_keys(kind: str, component: type[Any], name: str, given: Mapping[str, Any]) -> None:
    """Raise UsageError when `given` holds a key that is no parameter of `component`."""
    known = fields(component)
    for key in given:
        if key not in known:
            raise UsageError(
                f"The {kind} '{name}' has no parameter '{key}'. {did_you_mean(key, known)}"
                f"It has: {', '.join(known) or 'none'}."
            )


def build(kind: str, table: Mapping[str, Any], choice: Mapping[str, Any]) -> Any:
    """An instance from a resolved choice `{"name": ..., "version": ..., parameter: value, ...}`."""
    name = choice["name"]
    component = lookup(kind, table, name)
    version = choice.get("version", component.version)
    if version != component.version:
        raise UsageError(
            f"This trial was planned with version {version} of the {kind} '{name}', but version "
            f"{component.version} is installed. Plan again, or install the older release."
        )
    arguments = {key: _frozen(value) for key, value in choice.items() if key not in ("name", "version")}
    check_keys(kind, component, name, arguments)
    return component(**arguments)


def choice(name: str, component: Any) -> dict[str, Any]:
    """The JSON-able, complete form of an instance: name, version and every parameter."""
    return {"name": name, "version": component.version, **dataclasses.asdict(component)}


def summary(component: type[Any]) -> str:
    """The first line of a class's docstring."""
    return (component.__doc__ or "").strip().partition("\n")[0]


def load_plugin(path_or_module: str) -> str:
    """Import a user's module, which adds its parts to the tables; returns the module's name.

    Raises UsageError when the path or the module does not exist, or cannot be imported.
    """
    path = Path(path_or_module)
    if path.suffix == ".py" and not path.is_file():
        raise UsageError(f"The plugin file '{path_or_module}' does not exist. Give the path of a Python file.")
    try:
        if path.suffix == ".py":
            return _import_file(path)
        importlib.import_module(path_or_module)
    except Exception as problem:
        # A user's module may fail in any way as it is imported.
        raise _broken(path_or_module, problem) from problem
    return path_or_module


def load_entry_points() -> list[str]:
    """Import every installed plugin that declares an entry point in the group `harness.plugins`."""
    found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    for entry in found:
        try:
            entry.load()
        except Exception as problem:
            raise _broken(f"{entry.name} (installed as {entry.value})", problem) from problem
    return [entry.name for entry in found]


def _import_file(path: Path) -> str:
    name = f"{PLUGIN_PREFIX}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return name


def _broken(plugin: str, problem: Exception) -> UsageError:
    return UsageError(
        f"The plugin '{plugin}' cannot be loaded: {type(problem).__name__}: {problem}. "
        f"Give a module on the Python path, or the path of a file ending in .py, and mend what it says."
    )


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
