"""Data sets kept in the cache folder, each made once, by whichever process comes first. Torch-free."""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import EnvironmentProblem
from harness.tasks.files import cache_folder


def kept(name: str, what: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; where it is not there, `make` fills it while other processes wait.

    It is seen whole or not at all. Raises EnvironmentProblem where the cache folder cannot be written.
    """
    cache = cache_folder()
    folder, partial = cache / name, cache / f".{name}.partial"
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f".{name}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.is_dir():
                return folder
            print(f"Making {what}, once, in {folder}", file=sys.stderr)
            # Whoever holds the lock is alone: what lies there was left by a process that was killed.
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                make(partial)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            partial.rename(folder)
    except OSError as problem:
        raise EnvironmentProblem(
            f"The cache folder {cache} cannot take {what} ({problem}); make room, or set HARNESS_CACHE to another."
        ) from problem
    return folder


def write_rows(path: Path, count: int, width: int, parts: Iterable[NDArray[np.uint8]]) -> None:
    """Write uint8 (count, width) as an npy file, part after part, never all of it in memory."""
    with path.open("wb") as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, width)}
        np.lib.format.write_array_header_1_0(out, header)
        for part in parts:
            out.write(np.ascontiguousarray(part, dtype=np.uint8).data)


def mapped(folder: Path, name: str) -> NDArray[Any]:
    """The array `name`.npy of a folder that `kept` made, mapped into memory and never unpickled."""
    try:
        return np.asanyarray(np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False))
    except (OSError, ValueError, EOFError) as damage:
        raise EnvironmentProblem(
            f"{folder / f'{name}.npy'} is damaged ({damage}); remove the folder {folder}, and it is made again."
        ) from damage
