"""`harness list`: the parts that can be named in an ablation file."""

from __future__ import annotations

import ast
import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import Plugins, load_plugins
from harness.registry import Table, summary


class Kind(StrEnum):
    """What can be listed."""

    bases = "bases"
    backends = "backends"
    tasks = "tasks"
    sections = "sections"
    presets = "presets"


def listing(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; default: everything.")] = None,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """List the registered bases, backends, tasks and report sections, and the presets, each with one line."""
    load_plugins(plugins)
    for one in [kind] if kind else list(Kind):
        if one is Kind.presets:
            _presets()
            continue
        table = _table(one)
        width = max(map(len, table))
        print(f"{one.value}:")
        for name, entry in table.items():
            print(f"  {name:<{width}}  {_line(entry)}")


def _presets() -> None:
    from harness.presets import PRESETS
    from harness.presets.preset import load

    print("presets:")
    width = max(map(len, PRESETS))
    for preset in map(load, PRESETS):
        print(f"  {preset.name:<{width}}  {preset.title} ({', '.join(preset.tasks)})")


def _table(kind: Kind) -> Table:
    from harness.bases import BASES
    from harness.kernels import KERNELS
    from harness.report import SECTIONS
    from harness.tasks import TASKS

    return {Kind.bases: BASES, Kind.backends: KERNELS, Kind.tasks: TASKS, Kind.sections: SECTIONS}[kind]


def _line(entry: Any) -> str:
    """The first line of the class's docstring, read from its source so that nothing is imported."""
    if not isinstance(entry, str):
        return summary(entry)
    module, _, name = entry.partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return "(not installed)"
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""
