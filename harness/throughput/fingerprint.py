"""What a timing depends on beside its spec: the device, the threads and the libraries of today."""

from __future__ import annotations

from harness import __version__, environment

LIBRARIES = ("torch", "numpy", "pykeops", "triton")


def fingerprint(threads: int) -> str:
    """16 hex digits that change with the device's kind or name, the timer's `threads`, and library versions.

    The driver and the trial must see the same device, since a timing made under another fingerprint is made again.
    """
    from harness.tasks import files

    device, versions = environment.device(threads), environment.versions()
    libraries = {name: versions.get(name, "") for name in LIBRARIES}
    return files.fingerprint("throughput", device["kind"], device["name"], threads, libraries, __version__)
