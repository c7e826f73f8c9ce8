"""What a result was made with: versions, device, commit. Goes into every record's header."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "numpy", "scipy", "pykeops", "triton", "ray", "optuna", "mlflow", "hippo-harness")


def versions() -> dict[str, str]:
    """Installed versions by distribution, read without importing any of them."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def git() -> dict[str, Any]:
    """Commit of the checkout that holds this package, and whether it has changes; both None outside one.

    Where a driver has sent the package, HARNESS_GIT says what it is a copy of.
    """
    if told := os.environ.get("HARNESS_GIT"):
        found: dict[str, Any] = json.loads(told)
        return found
    folder = Path(__file__).resolve().parent.parent
    try:
        ask = functools.partial(
            subprocess.run, cwd=folder, capture_output=True, text=True, timeout=10, check=True, env=_quiet()
        )
        if Path(ask(["git", "rev-parse", "--show-toplevel"]).stdout.strip()).resolve() != folder:
            return {"commit": None, "dirty": None}
        commit = ask(["git", "rev-parse", "HEAD"]).stdout.strip()
        changed = ask(["git", "status", "--porcelain", "--", "harness", "pyproject.toml"]).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(changed)}


def device(threads: int) -> dict[str, Any]:
    """The device that trials run on: the GPU when torch sees one, else the processor."""
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return {"kind": "cuda", "name": properties.name, "memory_bytes": properties.total_memory, "threads": threads}
    return {"kind": "cpu", "name": _processor(), "cores": os.cpu_count(), "threads": threads}


def describe(threads: int) -> dict[str, Any]:
    """The header's `git`, `versions` and `device`."""
    return {"git": git(), "versions": versions(), "device": device(threads)}


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _quiet() -> dict[str, str]:
    return {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
