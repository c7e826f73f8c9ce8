"""Prepared data on disk: folders of .npy files, mapped into memory, whole or not there. Torch-free.

An entry is named by what it depends on (source digests and parameters), so it never goes stale; many trials on one
node open it at once, and where it is missing one of them makes it while the others wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import EnvironmentProblem
from harness.tasks.files import Arrays, cache_folder

CONTENTS = "contents.json"
"""In every entry: shape, dtype and SHA-256 of each array's file. Written last, so an entry that has it is whole."""


def cached(name: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of the entry `name`, memory-mapped copy-on-write; `make()` is called where they are missing or cut.

    Raises EnvironmentProblem where the cache folder cannot be written, and what `make` raises, with nothing kept.
    """
    folder = cache_folder() / name
    found = _read(folder)
    if found is None:
        with _alone(folder):
            found = _read(folder)
            if found is None:
                arrays = make()
                with _explained(folder):
                    _write(folder, arrays)
                found = _read(folder)
    assert found is not None
    return found


def damaged(name: str) -> list[str]:
    """The arrays of an entry whose file is not what was written (SHA-256); every byte is read."""
    folder = cache_folder() / name
    contents = _contents(folder)
    return [array for array, facts in contents.items() if facts["sha256"] != _sha256(folder / f"{array}.npy")]


def discard(name: str) -> None:
    """Remove an entry, so that it is made again."""
    with _alone(cache_folder() / name), _explained(cache_folder() / name):
        shutil.rmtree(cache_folder() / name)


def _read(folder: Path) -> Arrays | None:
    """The entry's arrays, or None when it is missing or a file is cut, of another shape or no array."""
    try:
        arrays = {}
        for name, facts in _contents(folder).items():
            # An empty array cannot be mapped.
            mode: Any = "c" if all(facts["shape"]) else None
            array = np.load(folder / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
            if list(array.shape) != facts["shape"] or str(array.dtype) != facts["dtype"]:
                return None
            arrays[name] = array
        return arrays
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        return None


def _contents(folder: Path) -> dict[str, dict[str, Any]]:
    return dict(json.loads((folder / CONTENTS).read_bytes()))


def _write(folder: Path, arrays: Arrays) -> None:
    """Write the entry beside its place and move it there; the caller holds its lock."""
    for left in folder.parent.glob(f".{folder.name}.tmp-*"):
        shutil.rmtree(left)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.tmp-"))
    try:
        contents = {}
        for name, array in arrays.items():
            np.save(new / f"{name}.npy", array, allow_pickle=False)
            facts = {"shape": list(array.shape), "dtype": str(array.dtype)}
            contents[name] = facts | {"sha256": _sha256(new / f"{name}.npy")}
        (new / CONTENTS).write_text(json.dumps(contents, indent=1))
        new.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the entry's lock, which ends with its holder."""
    with _explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.parent / f".{folder.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with _explained(folder):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise EnvironmentProblem(
            f"The cache folder '{folder.parent}' cannot be written ({problem.strerror}). "
            f"Set HARNESS_CACHE to a folder that can, with room for the prepared data."
        ) from problem


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
