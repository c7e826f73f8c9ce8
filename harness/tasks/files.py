"""Data files: where they are, what identifies them, and a cache for what is made from them. Torch-free."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import EnvironmentProblem, UsageError

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class DataFile:
    """A file, or a folder of files, that a task reads."""

    name: str
    places: tuple[str, ...]
    """Paths below the data root, the preferred one first; they may be of several formats."""
    origin: str
    """Where a user gets it, as the end of a sentence that begins "Get it from"."""
    check: Callable[[Path], str]
    """Reads the whole file and says what it holds; raises UsageError with one sentence when it is not right."""
    needed: bool = True
    """False when the task has another source by default."""
    url: str = ""
    """A public address of the file `name`, where there is one; it goes to the first place."""
    sha256: str = ""
    """Of what the address serves."""
    archived: str = ""
    """Where the archive of Long Range Arena has it: the end of its path; of a folder the whole path, with a slash."""


def find(file: DataFile, data_root: Path | None) -> Path | None:
    """The first of the file's places that exists, or None."""
    if data_root is None:
        return None
    return next((path for place in file.places if (path := data_root / place).exists()), None)


def locate(task: str, file: DataFile, data_root: Path | None) -> Path:
    """Like `find`; raises EnvironmentProblem saying what is missing, where it was looked for and where to get it."""
    if data_root is None:
        raise EnvironmentProblem(
            f"The task '{task}' reads {file.name}, but no data root was given. "
            f"Get it from {file.origin}, and name its folder with --data-root."
        )
    path = find(file, data_root)
    if path is None:
        looked = ", ".join(str(data_root / place) for place in file.places)
        raise EnvironmentProblem(
            f"The task '{task}' needs {file.name}, which is at none of: {looked}. Get it from {file.origin}."
        )
    return path


def fingerprint(*parts: Any) -> str:
    """16 hex digits of the SHA-256 of the parts' JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """`$HARNESS_CACHE`, else `hippo-harness` in the user's cache folder; it may not exist."""
    if given := os.environ.get("HARNESS_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "hippo-harness"


def digest(path: Path) -> str:
    """SHA-256 of a file (64 hex digits), remembered by path, size and modification time; of a folder, of its files'.

    The memory is a convenience: without a writable cache folder every call reads the file.
    """
    members = sorted(_files(path)) if path.is_dir() else [path]
    facts = [(one.stat().st_size, one.stat().st_mtime_ns) for one in members]
    mark = hashlib.sha256(repr(facts).encode()).hexdigest() if path.is_dir() else "{}|{}".format(*facts[0])
    key = f"{path.resolve()}|{mark}"
    memory = cache_folder() / "digests.json"
    known = _remembered(memory)
    if key in known:
        return known[key]
    value = (
        folder_digest({str(one.relative_to(path)): _sha256(one) for one in members}) if path.is_dir() else _sha256(path)
    )
    kept = {**_remembered(memory), key: value}
    with contextlib.suppress(OSError):
        write_atomically(memory, lambda out: out.write(json.dumps(kept, indent=0).encode()))
    return value


def folder_digest(members: Mapping[str, str]) -> str:
    """SHA-256 of the lines "digest  name" of a folder's files, in the order of their names, as `sha256sum` has them."""
    lines = "".join(f"{members[name]}  {name}\n" for name in sorted(members))
    return hashlib.sha256(lines.encode()).hexdigest()


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file that other processes see whole or not at all; raises OSError where the folder cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            write(out)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an uncompressed npz atomically."""
    write_atomically(path, lambda out: np.savez(out, allow_pickle=False, **arrays))


def read_arrays(path: Path, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> Arrays:
    """The named arrays of an npz, and the optional ones it has, never unpickled.

    Raises UsageError when it is damaged or lacks a named one.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise UsageError(f"{path} is a single array, not an npz archive of {', '.join(names)}.")
            for name in names:
                if name not in archive.files:
                    held = ", ".join(archive.files) or "nothing"
                    raise UsageError(f"{path} has no array '{name}'; it holds {held}. Get the file again.")
            return {name: archive[name] for name in (*names, *(one for one in optional if one in archive.files))}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, TypeError) as damage:
        raise UsageError(f"{path} cannot be read as an npz archive ({damage}). Get the file again.") from damage


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remembered(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
