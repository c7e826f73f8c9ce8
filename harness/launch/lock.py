"""One driver for a folder of records, one supervisor for a trial. Advisory locks that end with their holder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import EnvironmentProblem

SCRATCH = "hippo-run-"
"""What the name of a scratch folder begins with; eight letters of Python's follow."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextlib.contextmanager
def driver(folder: Path, shard: tuple[int, int] | None = None) -> Iterator[None]:
    """Hold `folder` for this driver, or one shard of it beside the drivers of the other shards.

    Raises EnvironmentProblem, naming the holder, when another driver has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        whole = held.enter_context(_opened(folder / ".lock"))
        _take(whole, fcntl.LOCK_SH if shard else fcntl.LOCK_EX, folder)
        if shard:
            part = held.enter_context(_opened(folder / f".lock-{shard[0]}-of-{shard[1]}"))
            _take(part, fcntl.LOCK_EX, folder)
        yield


@contextlib.contextmanager
def trial(folder: Path, trial_id: str, give_up: Callable[[], object], tick_s: float = 0.1) -> Iterator[bool]:
    """Hold one trial, waiting for an earlier supervisor to die; False when `give_up()` came true first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".lock-{trial_id}"
    while True:
        with _opened(path) as descriptor:
            if _held(descriptor, fcntl.LOCK_EX) and _same(path, descriptor):
                try:
                    yield True
                finally:
                    path.unlink(missing_ok=True)
                return
        if give_up():
            yield False
            return
        time.sleep(tick_s)


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A temporary folder in `parent`, removed at the end, with those whose holders were killed.

    The folder itself is the lock, which needs no process number: that may be another's by now, or in a container.
    """
    for left in parent.glob(SCRATCH + "?" * 8):
        with contextlib.suppress(OSError), _opened(left, _FOLDER) as descriptor:
            if _held(descriptor, fcntl.LOCK_EX):
                shutil.rmtree(left, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        with _opened(folder, _FOLDER) as descriptor:
            if not _held(descriptor, fcntl.LOCK_EX) or not _same(folder, descriptor):
                continue  # Another driver took it for a dead one's before it was locked.
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


@contextlib.contextmanager
def _opened(path: Path, how: int = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW) -> Iterator[int]:
    descriptor = os.open(path, how | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _held(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as refused:
        if refused.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _same(path: Path, descriptor: int) -> bool:
    """Whether `path` is still the file that was locked: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _take(descriptor: int, kind: int, folder: Path) -> None:
    if not _held(descriptor, kind):
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
        raise EnvironmentProblem(
            f"'{folder}' is being run by {holder}. Wait for it, or stop it with Ctrl-C there; "
            f"to share the work, start every driver with its own --shard i/n."
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
