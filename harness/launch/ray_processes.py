"""What Ray has started on this machine: whether it still lives, and its end.

A killed raylet makes no call of Ray's fail: Tune would wait for its trials for ever. Without its other server, the GCS,
Ray ends the driver itself after a minute; the records stay, and the same command goes on.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator
from typing import Any

import psutil

from harness.launch.ray_settings import ray

VITAL = "raylet"
WATCH_S = 2.0
BELOW_S = 10.0
"""How often what Ray's processes have started is noted; finding it reads of every process of the machine."""


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """Let no thread come upon a forgotten reference of Ray's: freed in the middle of its end, it exits the process."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Processes:
    """The processes of `ray.init`; none where it has joined a cluster, of which this machine's node is watched."""

    def __init__(self) -> None:
        node = getattr(ray._private.worker, "_global_node", None)
        kinds = getattr(node, "all_processes", {})
        self.processes: dict[str, list[Any]] = {kind: [one.process for one in kinds[kind]] for kind in kinds}
        self.node = ray.get_runtime_context().get_node_id()
        self._below: list[psutil.Process] = []
        self._dead = ""
        self._looked = self._noted = 0.0
        for process in self.processes.get("log_monitor", ()):
            # It carries what workers print to a driver that wants it; this one does not.
            process.kill()

    def dead(self, every_s: float = WATCH_S) -> str:
        """What has died, so that no trial goes on; empty while nothing has. Looks again after `every_s`."""
        if not self._dead and time.monotonic() - self._looked > every_s:
            self._dead = self._look()
            self._looked = time.monotonic()
            if self._looked - self._noted > BELOW_S:
                self._note()
        return self._dead

    def end(self) -> None:
        """Leave Ray; what was started here ends at once, with all that it started itself.

        Ray would ask each of its processes to end and wait a second, since they are deaf to that (`stop.deaf`); and
        what a killed raylet has started lives on for minutes.
        """
        self._note()
        for process in (one for kind in self.processes.values() for one in kind):
            process.terminate = process.kill
        with _no_garbage():
            ray.shutdown()
        for one in self._below:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()

    def _look(self) -> str:
        if not self.processes:
            return "" if any(one["Alive"] for one in ray.nodes() if one["NodeID"] == self.node) else "node"
        return VITAL if any(process.poll() is not None for process in self.processes.get(VITAL, ())) else ""

    def _note(self) -> None:
        """Note what Ray's processes have started, unless one is dead: what has lost its parent is found no more."""
        if not self.processes or self._look():
            return
        self._noted = time.monotonic()
        self._below = [
            one
            for kind in self.processes.values()
            for process in kind
            if process.poll() is None
            for one in psutil.Process(process.pid).children(recursive=True)
        ]
