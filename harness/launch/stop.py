"""Asking a sweep to stop: first cleanly, then at once, from a signal or a deadline."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

GO, STOP, KILL = 0, 1, 2
FROM_OUTSIDE = (signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else []))
"""What SLURM sends before it takes the machine away, to the driver alone, to its group, or to all that it started."""
Level = Callable[[], int]
"""Read by supervisors: GO, STOP (children checkpoint and end), or KILL (children are killed)."""


class Stop:
    """The driver's flag. `ask` only ever raises the level."""

    def __init__(self) -> None:
        self._level = GO
        self.why = ""

    def level(self) -> int:
        return self._level

    def ask(self, level: int, why: str) -> None:
        """Raise the level to `level`."""
        if level > self._level:
            self._level = level
            self.why = self.why or why


@contextlib.contextmanager
def on_signals(stop: Stop) -> Iterator[Callable[[], None]]:
    """Ctrl-C, SIGTERM and SIGUSR1 ask `stop`: once for a clean stop, once more to stop at once.

    Yields what listens again: Ray, as it starts, puts its own handler of SIGTERM before ours, which aborts the process
    three seconds later. Outside the main thread, where Python allows no handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def heard(number: int, frame: FrameType | None) -> None:
        stop.ask(min(stop.level() + 1, KILL), signal.Signals(number).name)

    def listen() -> None:
        for number in (signal.SIGINT, *FROM_OUTSIDE):
            signal.signal(number, heard)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *FROM_OUTSIDE)}
    listen()
    try:
        yield listen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Let what this thread starts never hear the signals that are meant for the driver: it inherits the mask.

    Handlers of its own would not help against that, as they would against being told to ignore them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_OUTSIDE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def alive(pid: int) -> bool:
    """Whether a process of this machine still exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
