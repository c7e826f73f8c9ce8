"""Backends and bases of a user's own, made known to a fresh process: where their classes come from."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping

from harness.bases import BASES
from harness.kernels import KERNELS
from harness.registry import PLUGIN_PREFIX, load_plugin

TABLES = {"basis": BASES, "backend": KERNELS}
Entry = dict[str, str]


def plugged() -> list[Entry]:
    """The registered classes that are no part of the harness, in plain values."""
    found = []
    for table, entries in TABLES.items():
        for name, entry in entries.items():
            if isinstance(entry, type) and not entry.__module__.startswith("harness."):
                file = getattr(sys.modules.get(entry.__module__), "__file__", None) or ""
                place = {"module": entry.__module__, "class": entry.__qualname__, "file": file}
                found.append({"table": table, "name": name, **place})
    return found


def adopt(entries: Iterable[Mapping[str, str]]) -> None:
    """Register them here, from the modules or files that they come from."""
    for entry in entries:
        if entry["module"] not in sys.modules and entry["module"].startswith(PLUGIN_PREFIX):
            load_plugin(entry["file"])
        module = importlib.import_module(entry["module"])
        TABLES[entry["table"]][entry["name"]] = getattr(module, entry["class"])
