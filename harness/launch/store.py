"""Where checkpoints outlive the machine that wrote them: a folder, or a URI that pyarrow knows, such as s3://.

A checkpoint is named by the rows of the record that it continues and by the attempt that wrote it, and counts only
while the record has that row: what a supervisor stores whose driver is gone is never resumed.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import fs

from harness.errors import UsageError

KEPT = 2
"""The newest, and the one before it, whose row the record is sure to have."""
Name = tuple[int, int]
"""Rows of the record, and the attempt."""


class Store:
    """A folder or URI, and files in it by relative path. Its methods raise OSError."""

    def __init__(self, uri: str) -> None:
        self.files, self.root = fs.FileSystem.from_uri(uri)

    def names(self, place: str) -> list[str]:
        """The files of a folder."""
        found = self.files.get_file_info(fs.FileSelector(self._path(place), allow_not_found=True))
        return [info.base_name for info in found if info.is_file]

    def put(self, source: Path, path: str) -> None:
        """Store a file, whole or not at all."""
        target = self._path(path)
        # An object store shows an object once it is whole; a folder needs a rename for that.
        folder = isinstance(self.files, fs.LocalFileSystem)
        beside = f"{target}.partial" if folder else target
        if folder:
            self.files.create_dir(target.rpartition("/")[0])
        with source.open("rb") as read, self.files.open_output_stream(beside) as write:
            shutil.copyfileobj(read, write, 1 << 20)
        if folder:
            self.files.move(beside, target)

    def get(self, path: str, target: Path) -> None:
        """Copy a stored file to this machine."""
        with self.files.open_input_stream(self._path(path)) as read, target.open("wb") as write:
            shutil.copyfileobj(read, write, 1 << 20)

    def remove(self, path: str) -> None:
        self.files.delete_file(self._path(path))

    def clear(self, place: str) -> None:
        """Remove a folder and its files, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.files.delete_dir(self._path(place))

    def _path(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"


class Checkpoints:
    """The checkpoints of one trial: in the folder where its child writes and reads them, and in the store."""

    def __init__(self, store: Store, place: str, folder: Path) -> None:
        self.store, self.place, self.folder = store, place, folder
        self._sent: list[Name] = []

    def fetch(self, named: Sequence[Name]) -> None:
        """Bring the newest that the record names, and remove from the store what it does not name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(self.store.names(self.place), reverse=True):
            known = next((one for one in named if name in (_stored(one), _local(one))), None)
            if known is None:
                self.store.remove(f"{self.place}/{name}")
                continue
            if len(self._sent) < KEPT:
                self.store.get(f"{self.place}/{name}", self.folder / _local(known))
            self._sent.insert(0, known)

    def send(self, named: Sequence[Name]) -> None:
        """Store the newest that the record names, unless they are there. To be called once before their rows leave.

        The newest of an earlier call stays as well: its row has left, while those of this call may be lost on the way.
        """
        for one in [one for one in self._sent if one not in named]:
            self._drop(one)
        safe = self._sent[-1:]
        for one in [one for one in named[-KEPT:] if safe < [one]]:
            # The child may have removed the older of them by now.
            with contextlib.suppress(FileNotFoundError):
                self.store.put(self.folder / _local(one), f"{self.place}/{_stored(one)}")
                self._sent.append(one)
        for one in self._sent[:-KEPT]:
            if one not in safe:
                self._drop(one)

    def _drop(self, name: Name) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.store.remove(f"{self.place}/{_stored(name)}")
        self._sent.remove(name)


def checked(text: str) -> str:
    """`--storage` as an absolute path or a URI. Raises UsageError for what cannot be one."""
    if "://" not in text:
        return str(Path(text).resolve())
    if urlsplit(text).username or urlsplit(text).password:
        raise UsageError("--storage has a name or a password in it. Give credentials in the environment instead.")
    try:
        fs.FileSystem.from_uri(text)
    except (OSError, ValueError) as problem:
        raise UsageError(
            f"--storage {text}: {str(problem).rstrip('.')}. Give a folder, or a URI such as s3://bucket/folder."
        ) from None
    return text


def _stored(name: Name) -> str:
    return f"{name[0]:08d}-{name[1]}.pt"


def _local(name: Name) -> str:
    return f"{name[0]:08d}.pt"
