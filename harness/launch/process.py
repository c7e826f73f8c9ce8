"""A handle on one child: started from a warm fork server or, elsewhere than on Linux, from nothing; read line by line.

It is never waited for without limit.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

import psutil

from harness import platforms
from harness.launch import child, log
from harness.launch.options import Task
from harness.records import Row, decode

PRELOAD = ("harness.launch.warm", "harness.launch.child")
"""Loaded by the fork server once, beside the runner's module, which brings torch with it."""
FAMILY_S = 10.0
"""How often what a child has started is looked for, in seconds; that reads of every process of the machine."""
LIMITED_S = 1.0
"""The same where its memory has a limit."""
_starting = threading.Lock()


class Child:
    """One attempt's process, its rows and its pulse."""

    def __init__(self, task: Task, attempt: int, kept_rows: int, history: list[dict[str, str]]) -> None:
        self.log = log.file(Path(task["folder"]), task["job"]["trial_id"])
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.is_symlink():
            # A log is appended to, and what somebody linked here is not ours.
            self.log.unlink()
        context: ForkServerContext | SpawnContext = (
            multiprocessing.get_context("forkserver") if platforms.linux() else multiprocessing.get_context("spawn")
        )
        context.set_forkserver_preload([*PRELOAD, task["runner"].partition(":")[0]])
        self._reader, writer = context.Pipe(duplex=False)
        self._process = context.Process(
            target=child.main, args=(writer, task, str(self.log), attempt, kept_rows, history), daemon=False
        )
        with _starting, _nameless_main():
            self._process.start()
        writer.close()
        os.set_blocking(self._reader.fileno(), False)
        self._tail = b""
        self._open = True
        self.last_beat = self.last_work = time.monotonic()
        self.peak_memory_bytes: int | None = None
        self._family_s = FAMILY_S if task["memory_bytes"] is None else LIMITED_S
        self._family: list[psutil.Process] = []
        self._next_family = 0.0

    def wait(self, seconds: float) -> None:
        """Until something arrives, the child ends, or the time is over."""
        multiprocessing.connection.wait([self._process.sentinel, *([self._reader] if self._open else [])], seconds)

    def rows(self) -> Iterator[Row]:
        """The rows that have arrived since the last call; any line is a heartbeat, any that says something is work."""
        while self._open:
            try:
                piece = os.read(self._reader.fileno(), 1 << 20)
            except BlockingIOError:
                return
            if not piece:
                self._open = False
                return
            self.last_beat = time.monotonic()
            *whole, self._tail = (self._tail + piece).split(b"\n")
            for line in whole:
                if line:
                    self.last_work = self.last_beat
                if line not in (b"", child.WORK):
                    yield decode(line)

    @property
    def exit_code(self) -> int | None:
        """None while the child runs; minus the signal that killed it."""
        return self._process.exitcode

    def ask_to_stop(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self, dump: bool = False) -> None:
        """End the child and all that it started; with `dump`, its stacks go to the log first."""
        if dump and self.exit_code is None:
            self._signal(signal.SIGABRT)
            self._process.join(1.0)
        self._signal(signal.SIGKILL)
        self._process.join(10.0)

    def close(self, seconds: float = 5.0) -> None:
        """Let the child go, kill what is left of it, and remove its log when nothing was printed."""
        self._process.join(seconds)
        self.kill()
        self._reader.close()
        with contextlib.suppress(OSError):
            if log.blank(self.log):
                self.log.unlink()

    def memory_bytes(self) -> int:
        """Resident memory of the child and of what it started."""
        total = 0
        with contextlib.suppress(psutil.Error):
            if (now := time.monotonic()) >= self._next_family:
                process = psutil.Process(self._process.pid)
                self._family, self._next_family = [process, *process.children(recursive=True)], now + self._family_s
        for one in self._family:
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
        self.peak_memory_bytes = max(self.peak_memory_bytes or 0, total)
        return total

    def _signal(self, number: signal.Signals) -> None:
        """To the child's whole group, once it leads one; before that to the child alone."""
        pid = self._process.pid
        assert pid is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                os.killpg(pid, number)
            elif self.exit_code is None:
                os.kill(pid, number)
        if self.exit_code is None and number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def _nameless_main() -> Iterator[None]:
    """Hide the program's main module, which every child would import again, at the cost of a fresh start."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def kernel_kills() -> int:
    """How often this machine's kernel has killed a process for memory; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
