"""The archive of Long Range Arena: 8.2 GB that hold ListOps, Retrieval and Pathfinder. Torch-free.

Nothing but the wanted files and folders is unpacked. Of two copies of a file that the archive holds, the one in the
deeper folder counts, which is the one that the official S4 code uses; a folder is named by its whole path.

Source: Tay et al., Long Range Arena, https://github.com/google-research/long-range-arena.
"""

from __future__ import annotations

import shutil
import tarfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from harness.errors import UsageError
from harness.tasks.files import DataFile, find, write_atomically
from harness.tasks.progress import followed

URL = "https://storage.googleapis.com/long-range-arena/lra_release.gz"


def unpack(files: Sequence[DataFile], data_root: Path) -> list[Path]:
    """Bring `files` from the archive to their first places below the data root, each whole or not at all.

    Raises UsageError where the archive is damaged or lacks one.
    """
    archive = find(FILE, data_root)
    assert archive is not None
    folders = [_Folder(file.archived, data_root) for file in files if file.archived.endswith("/")]
    wanted = {file.archived: data_root / file.places[0] for file in files if not file.archived.endswith("/")}
    depth: dict[str, int] = {}
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in followed(members, f"unpacking {archive.name}"):
                if not member.isfile() or (stream := members.extractfile(member)) is None:
                    continue
                if folder := next((one for one in folders if member.name.startswith(one.inner)), None):
                    folder.take(member.name, stream)
                    continue
                inner = next((inner for inner in wanted if member.name.endswith(f"/{inner}")), None)
                found = member.name.count("/")
                if inner is None or found < depth.get(inner, 0):
                    continue
                depth[inner] = found
                write_atomically(wanted[inner], partial(shutil.copyfileobj, stream))
        if missing := [inner for inner in wanted if inner not in depth] + [one.inner for one in folders if not one.any]:
            raise UsageError(f"{archive} holds no {missing[0]}. Get it again from {URL}.")
        return [*wanted.values(), *(one.whole() for one in folders)]
    except (tarfile.TarError, EOFError, zlib.error) as damage:
        raise UsageError(f"{archive} is damaged or cut short ({damage}). Get it again from {URL}.") from damage
    finally:
        for one in folders:
            shutil.rmtree(one.part, ignore_errors=True)


class _Folder:
    """A folder of the archive, which appears below the data root, under the same path, once it is whole."""

    def __init__(self, inner: str, data_root: Path) -> None:
        self.inner, self.place = inner, data_root / inner
        self.part = self.place.with_name(f".{self.place.name}.part")
        self.any = False
        shutil.rmtree(self.part, ignore_errors=True)

    def take(self, name: str, stream: IO[bytes]) -> None:
        path = PurePosixPath(name.removeprefix(self.inner))
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(f"The archive holds '{name}', which leads out of its folder. Get it again from {URL}.")
        self.any = True
        (self.part / path).parent.mkdir(parents=True, exist_ok=True)
        with (self.part / path).open("wb") as out:
            shutil.copyfileobj(stream, out)

    def whole(self) -> Path:
        return self.part.replace(self.place)


def _check(path: Path) -> str:
    try:
        with tarfile.open(path, "r|gz") as members:
            count = sum(1 for _ in followed(members, f"reading {path.name}"))
    except (tarfile.TarError, EOFError, zlib.error) as damage:
        raise UsageError(f"{path} is damaged or cut short ({damage}). Get it again from {URL}.") from damage
    return f"{count:,} files and folders"


FILE = DataFile(
    name="lra_release.gz",
    places=("lra_release.gz",),
    origin=URL,
    check=_check,
    needed=False,
    url=URL,
)
