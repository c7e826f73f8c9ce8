"""Libraries' chatter into a log file, the terminal for people."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def captured(log: Path) -> Iterator[TextIO]:
    """Send everything that this process and its native libraries print to `log`; yields the real standard output.

    Where standard output is not this process's descriptor 1 (a test that reads it), it is left as it is.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
    terminal = (
        os.fdopen(os.dup(kept[1]), "w", encoding="utf-8", errors="replace") if _is_one(sys.stdout) else sys.stdout
    )
    try:
        for number in kept:
            os.dup2(target, number)
        yield terminal
    finally:
        for stream in (sys.stdout, sys.stderr):
            # The log's disk may be full, which is no reason to fail.
            with contextlib.suppress(OSError):
                stream.flush()
        for number, descriptor in kept.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(target)
        if terminal is not sys.stdout:
            terminal.close()


def _is_one(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError, AttributeError):
        return False
