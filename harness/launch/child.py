"""What runs in a trial's own process: it calls the runner and sends each row to its supervisor.

Rows go over the pipe as lines of JSON. An empty line is a heartbeat: the process lives. A full stop says that the
trial itself goes on: it has asked whether to stop, as it does before each step and each batch. The child never outlives
its supervisor: a thread waits for the supervisor's end, and on Linux the kernel kills the child with the fork server,
which also works while native code holds the interpreter's lock.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness import platforms, records, registry
from harness.errors import Diverged, HarnessError, Interrupted, Unsupported, no_space
from harness.launch import leavings, log
from harness.launch.options import Task
from harness.launch.stop import FROM_OUTSIDE

BEAT_S = 1.0
WORK = b"."
_STATUS_OF = {
    Unsupported: "unsupported",
    Diverged: "diverged",
    Interrupted: "interrupted",
    MemoryError: "out_of_memory",
}


class Lines:
    """The sending end: whole lines, one at a time, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._worked = 0.0
        self.ended = False

    def row(self, row: records.Row) -> None:
        self._send(records.encode(row).encode() + b"\n")
        self.ended = row["row"] == "end"

    def beat(self) -> None:
        while True:
            self._send(b"\n")
            time.sleep(BEAT_S)

    def work(self) -> None:
        """Say that the trial goes on, if that was not said just now."""
        now = time.monotonic()
        if now - self._worked >= BEAT_S:
            self._worked = now
            self._send(WORK + b"\n")

    def _send(self, line: bytes) -> None:
        with self._lock:
            view = memoryview(line)
            while view:
                view = view[os.write(self._descriptor, view) :]


def main(
    connection: Connection, task: Task, log_file: str, attempt: int, kept_rows: int, history: list[dict[str, str]]
) -> None:
    """Run one attempt. Everything that goes wrong here becomes an end row; what cannot is the supervisor's."""
    asked = threading.Event()
    for number in FROM_OUTSIDE:
        signal.signal(number, lambda *_: asked.set())
    # Under Ray they are blocked in every process but the driver and this one.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_OUTSIDE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.setsid()
    _die_with_the_supervisor()
    lines = Lines(connection.fileno())
    threading.Thread(target=lines.beat, daemon=True).start()
    started = time.monotonic()

    def stop() -> bool:
        lines.work()
        return asked.is_set()

    try:
        _write_to(log_file, attempt)
        os.environ.update(task["environment"])
        sys.path[:0] = task["path"]
        for plugin in task["plugins"]:
            registry.load_plugin(plugin)
        registry.load_entry_points()
        folder = Path(task["folder"])
        _runner(task["runner"])(
            task["job"],
            lines.row,
            data_root=Path(task["data_root"]) if task["data_root"] else None,
            checkpoints=leavings.checkpoints(folder, task["job"]["trial_id"]),
            kept_rows=kept_rows,
            attempt=attempt,
            history=history,
            stop=stop,
            threads=task["threads"],
        )
    except BaseException as problem:
        if not lines.ended:
            lines.row(_end(problem, attempt, time.monotonic() - started))


def _runner(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _end(problem: BaseException, attempt: int, seconds: float) -> records.Row:
    status = next((status for kind, status in _STATUS_OF.items() if isinstance(problem, kind)), "error")
    said = str(problem) if isinstance(problem, HarnessError) else f"{type(problem).__name__}: {problem}"
    if full := no_space(problem):
        status, said = "interrupted", full
    row: records.Row = {"row": "end", "status": status, "reason": said, "seconds": seconds, "peak_memory_bytes": None}
    row |= {"attempt": attempt, "time": time.time()}
    if status == "error":
        row["traceback"] = "".join(traceback.format_exception(problem))
    return row


def _die_with_the_supervisor() -> None:
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    platforms.die_with_parent()
    # The fork server ends when the last holder of this descriptor does; kept open here, it would wait for us.
    held = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_alive_fd", None)
    if held is not None:
        os.close(held)


def _write_to(path: str, attempt: int) -> None:
    """Send what libraries print to the trial's log; a fatal signal leaves the stack of every thread there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, log.heading(attempt).encode())
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    faulthandler.enable()
