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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import EnvironmentProblem
from harness.tasks.files import Arrays, cache_folder

Fill = Callable[[Path], None]
"""Writes .npy files into the folder it is given."""

CONTENTS = "contents.json"
"""In every entry: shape, dtype and SHA-256 of each array's file. Written last, so an entry that has it is whole."""


def cached(name: str, make: Callable[[], Arrays | Fill]) -> Arrays:
    """The arrays of the entry `name`, memory-mapped copy-on-write; `make()` is called where they are missing or cut.

    It returns them, or, where memory does not hold them, what writes them. Raises EnvironmentProblem where the cache
    folder cannot be written, and what `make` raises, with nothing kept.
    """
    folder = cache_folder() / name
    found = _read(folder)
    if found is None:
        with _alone(folder):
            found = _read(folder)
            if found is None:
                made = make()
                with _explained(folder):
                    _write(folder, made)
                found = _read(folder)
    assert found is not None
    return found


def write_rows(path: Path, count: int, width: int, parts: Iterable[NDArray[np.uint8]]) -> None:
    """Write uint8 (count, width) as an npy file, part after part, never all of it in memory."""
    with path.open("wb") as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, width)}
        np.lib.format.write_array_header_1_0(out, header)
        for part in parts:
            out.write(np.ascontiguousarray(part, dtype=np.uint8).data)


def checksums(name: str) -> dict[str, str]:
    """SHA-256 of each array's file of an entry, as it was written."""
    return {array: facts["sha256"] for array, facts in _contents(cache_folder() / name).items()}


def damaged(name: str) -> list[str]:
    """The arrays of an entry whose file is not what was written; every byte is read."""
    folder = cache_folder() / name
    return [array for array, written in checksums(name).items() if written != _sha256(folder / f"{array}.npy")]


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


def _write(folder: Path, made: Arrays | Fill) -> None:
    """Write the entry beside its place and move it there; the caller holds its lock."""
    for left in folder.parent.glob(f".{folder.name}.tmp-*"):
        shutil.rmtree(left)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.tmp-"))
    try:
        if callable(made):
            made(new)
        else:
            for name, array in made.items():
                np.save(new / f"{name}.npy", array, allow_pickle=False)
        contents = {path.stem: _facts(path) for path in sorted(new.glob("*.npy"))}
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


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return {"shape": list(shape), "dtype": str(dtype), "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
