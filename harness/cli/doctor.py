"""`harness doctor`: devices, versions, and whether each backend really runs here, backward included."""

from __future__ import annotations

import os

import typer

from harness.cli.options import Plugins, load_plugins


def doctor(plugins: Plugins = []) -> None:  # noqa: B006
    """Report devices and versions, and probe every kernel backend with a real forward and backward pass."""
    load_plugins(plugins)
    from harness.environment import describe
    from harness.kernels import KERNELS
    from harness.kernels.probe import probe

    found = describe(threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    device = found["device"]
    print("device:   " + ", ".join(f"{key} {value}" for key, value in device.items()))
    print("versions: " + ", ".join(f"{name} {version}" for name, version in found["versions"].items()))
    print("backends:")
    failed = False
    for name in KERNELS:
        problem = probe(name, device["kind"])
        failed |= problem is not None
        print(f"  {name:<10} {'runs, backward included' if problem is None else 'does not run: ' + problem}")
    if failed:
        raise typer.Exit(3)
