"""`harness doctor`: devices, versions, and whether each backend really runs here, backward included."""

from __future__ import annotations

import sys

import typer

from harness import platforms
from harness.cli.options import Plugins, load_plugins


def doctor(plugins: Plugins = []) -> None:  # noqa: B006
    """Report devices and versions, and probe every kernel backend with a real forward and backward pass.

    Exit code 3 when a backend fails; one that says why it does not apply here does not count as that.
    """
    load_plugins(plugins)
    from harness.environment import describe
    from harness.kernels import KERNELS
    from harness.kernels.probe import probe
    from harness.launch import machine

    found = describe(threads=machine.cpus())
    device = found["device"]
    print("device:   " + ", ".join(f"{key} {value}" for key, value in device.items()))
    print("versions: " + ", ".join(f"{name} {version}" for name, version in found["versions"].items()))
    if not platforms.linux():
        print(f"platform: {sys.platform} lacks some of what Linux has:")
        for name, sentence in platforms.ELSEWHERE.items():
            print(f"  {name}: {sentence}")
    print("backends:")
    failed = False
    for name in KERNELS:
        found_here = probe(name, device["kind"])
        failed |= bool(found_here.error)
        said = f"does not apply here: {found_here.reasons}" if found_here.reasons else f"fails: {found_here.error}"
        print(f"  {name:<10} {'runs, backward included' if found_here.ran else said}")
    if failed:
        raise typer.Exit(3)
