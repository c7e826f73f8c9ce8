"""Asking a sweep to stop: first cleanly, then at once, from a signal or a deadline, across processes.

The level is kept in a small file as well, because a supervisor may live in another process than the driver.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

GO, STOP, KILL = 0, 1, 2
Level = Callable[[], int]
"""Read by supervisors: GO, STOP (children checkpoint and end), or KILL (children are killed)."""


class Stop:
    """The driver's flag. `ask` only ever raises the level."""

    def __init__(self, *files: Path) -> None:
        self._files = files
        self._level = GO
        self.why = ""
        for file in files:
            file.unlink(missing_ok=True)

    def level(self) -> int:
        return self._level

    def ask(self, level: int, why: str) -> None:
        """Raise the level to `level` and tell every process that reads the file."""
        if level <= self._level:
            return
        self._level = level
        self.why = self.why or why
        for file in self._files:
            beside = file.with_name(file.name + ".new")
            with contextlib.suppress(OSError):
                beside.write_text(str(level))
                beside.replace(file)

    def clear(self) -> None:
        """Remove the files."""
        for file in self._files:
            file.unlink(missing_ok=True)


def stop_file(folder: Path) -> Path:
    """Where the driver that is this process tells the supervisors of a sweep to stop.

    Named with the host as well: drivers on several machines, or in containers, may have one number.
    """
    return folder.resolve() / f".stop-{socket.gethostname()}-{os.getpid()}"


def level_in(file: Path) -> int:
    """The level that another process has written; GO while there is none."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return GO


@contextlib.contextmanager
def on_signals(stop: Stop) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGUSR1 ask `stop`: once for a clean stop, once more to stop at once.

    SIGTERM and SIGUSR1 are what SLURM sends before it takes the machine away. Outside the main thread, where
    Python allows no handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, frame: FrameType | None) -> None:
        stop.ask(min(stop.level() + 1, KILL), signal.Signals(number).name)

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]
    before = {number: signal.signal(number, heard) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def alive(pid: int) -> bool:
    """Whether a process of this machine still exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
