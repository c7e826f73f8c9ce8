"""The released Pathfinder pictures: `pathfinder<size>/<level>/{imgs/<batch>/sample_<k>.png, metadata/<batch>.npy}`.

The metadata is plain text in spite of its name, one picture a line (an npy file of strings, as the generator itself
writes, is read as well); columns: folder, file, number, label, continuity, dashes of a path, dashes of a distractor,
L, w, m, number of contrasts.

Source: Tay et al., Long Range Arena, `lra_release.gz`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.errors import UsageError
from harness.tasks.files import DataFile, fingerprint
from harness.tasks.pathfinder_rules import PATH_DASHES
from harness.tasks.progress import followed

LEVELS = {"easy": "curv_baseline", "intermediate": "curv_contour_length_9", "hard": "curv_contour_length_14"}
PICTURES = 200_000
COLUMNS = 11
EMPTY = "pathfinder32/curv_baseline/imgs/0/sample_172.png"
"""The one picture of the release that is an empty file, and is left out."""
OUTER = "lra_release/pathfinder128"
INNER = "lra_release/lra_release/pathfinder128"
ORIGIN = "lra_release.gz at https://storage.googleapis.com/long-range-arena/lra_release.gz (folder pathfinder{})"


@dataclass(frozen=True)
class Entry:
    """A picture of a level, with the line of the metadata that names it."""

    path: Path
    label: int
    place: str


def entries(folder: Path, difficulty: str) -> Iterator[Entry]:
    """Every picture of a level, by batch and line, without the one that is known to be empty.

    Raises UsageError naming file and line for a line that is not right.
    """
    metadata = folder / LEVELS[difficulty] / "metadata"
    for number, path in _batches(metadata):
        rows = _rows(path)
        if not rows:
            raise UsageError(f"{path} names no pictures. {_again(folder)}")
        for line, row in enumerate(rows, start=1):
            entry = _entry(folder, difficulty, row, f"{path}, line {line}", number)
            if not entry.path.as_posix().endswith(EMPTY):
                yield entry


def decode(entry: Entry, size: int) -> NDArray[np.uint8]:
    """The gray levels of a picture (size, size). Raises UsageError naming it and the line that names it."""
    try:
        content = entry.path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{entry.place}: {entry.path} cannot be read ({problem.strerror}). Get it again.") from None
    if not content:
        raise UsageError(f"{entry.place}: {entry.path} is an empty file. Get it again.")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.mode != "L" or picture.size != (size, size):
                width, height = picture.size
                raise UsageError(
                    f"{entry.place}: {entry.path} is {width} x {height} in mode {picture.mode}; "
                    f"expected {size} x {size} gray levels of 8 bits."
                )
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as damage:
        raise UsageError(f"{entry.place}: {entry.path} is no whole PNG ({damage}). Get it again.") from None


def stamp_of(folder: Path, difficulty: str) -> str:
    """Names the state of a level's folders, without reading a picture: paths, sizes and times of modification.

    It follows pictures that are added, removed or replaced, not one that is overwritten in place.
    """
    level = folder / LEVELS[difficulty]
    metadata = [path for _, path in _batches(level / "metadata")]
    images = [level / "imgs" / path.stem for path in metadata]
    facts = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in metadata]
    return fingerprint(facts, [path.stat().st_mtime_ns if path.is_dir() else None for path in images])


def is_outer(folder: Path) -> bool:
    """Whether this is the outer one of the two copies of pathfinder128 in the release."""
    return folder.resolve().as_posix().endswith("/" + OUTER) and not is_inner(folder)


def is_inner(folder: Path) -> bool:
    return folder.resolve().as_posix().endswith("/" + INNER)


def refuse_outer(folder: Path) -> None:
    """Raise UsageError for the copy that is not to be used."""
    if is_outer(folder):
        raise UsageError(
            f"{folder} is the outer copy of pathfinder128 in lra_release.gz; the release holds two, one of them was "
            f"reported to be faulty (labels that cannot be learned), and the official S4 code reads the inner one: "
            f"use {INNER}."
        )


def check(folder: Path) -> str:
    """Decode every picture of every level that is there and compare with the release; says what there is."""
    refuse_outer(folder)
    size = int(folder.name.removeprefix("pathfinder"))
    found = []
    for difficulty in LEVELS:
        if not (folder / LEVELS[difficulty]).is_dir():
            continue
        labels = []
        for entry in followed(entries(folder, difficulty), f"reading {folder.name}, {difficulty}", PICTURES):
            decode(entry, size)
            labels.append(entry.label)
        missing_one = f"{folder.name}/{LEVELS[difficulty]}/" in EMPTY
        if len(labels) != PICTURES - missing_one:
            raise UsageError(
                f"{folder / LEVELS[difficulty]} holds {len(labels):,} pictures; the release has "
                f"{PICTURES - missing_one:,}. {_again(folder)}"
            )
        found.append(f"{difficulty} {len(labels):,} ({sum(labels) / len(labels):.1%} label 1)")
    if not found:
        raise UsageError(f"{folder} has none of the folders {', '.join(LEVELS.values())}. {_again(folder)}")
    return "pictures: " + ", ".join(found)


def _batches(metadata: Path) -> list[tuple[int, Path]]:
    paths = list(metadata.glob("*.npy"))
    if not paths:
        raise UsageError(f"{metadata} holds no metadata (files 0.npy, 1.npy, ...). {_again(metadata.parent.parent)}")
    for path in paths:
        if not re.fullmatch(r"\d{1,9}", path.stem, re.ASCII):
            raise UsageError(f"{path} is not named by the number of its batch. Remove it.")
    return sorted((int(path.stem), path) for path in paths)


def _rows(path: Path) -> list[list[str]]:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{path} cannot be read ({problem.strerror}). Get it again.") from None
    if content.startswith(b"\x93NUMPY"):
        try:
            table = np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, OSError) as damage:
            raise UsageError(f"{path} cannot be read as an npy file of strings ({damage}). Get it again.") from None
        if table.ndim != 2 or table.dtype.kind not in "US":
            raise UsageError(f"{path} holds {table.dtype} {table.shape}; expected strings (n, {COLUMNS}).")
        return [[str(cell) for cell in row] for row in table.astype(str)]
    try:
        return [line.split() for line in content.decode("ascii").splitlines()]
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise UsageError(f"{path}, line {line}: not plain text. Get it again.") from None


def _entry(folder: Path, difficulty: str, row: list[str], place: str, batch: int) -> Entry:
    def wrong(what: str) -> NoReturn:
        raise UsageError(f"{place}: {what}. {_again(folder)}")

    if len(row) != COLUMNS:
        wrong(f"expected {COLUMNS} columns, got {len(row)}")
    if row[0] != f"imgs/{batch}" or not re.fullmatch(r"sample_\d{1,9}\.png", row[1], re.ASCII):
        wrong(f"expected a picture imgs/{batch} sample_<number>.png, got '{row[0][:40]} {row[1][:40]}'")
    if row[3] not in ("0", "1"):
        wrong(f"the label '{row[3][:20]}' is not 0 or 1")
    if row[5] != str(PATH_DASHES[difficulty]):
        wrong(f"paths of {row[5][:20]} dashes, but '{difficulty}' has {PATH_DASHES[difficulty]}")
    return Entry(folder / LEVELS[difficulty] / row[0] / row[1], int(row[3]), place)


def _again(folder: Path) -> str:
    return f"Get it again from {ORIGIN.format(folder.name.removeprefix('pathfinder'))}."


def release(size: int) -> DataFile:
    """The folder of one size; the inner copy of the archive comes before the outer one."""
    name = f"pathfinder{size}"
    folders = ("", "pathfinder", "lra_release/lra_release", "lra_release")
    return DataFile(
        name=name,
        places=tuple(str(Path(folder) / name) for folder in folders),
        origin=ORIGIN.format(size),
        check=check,
        needed=False,
        archived=f"lra_release/lra_release/{name}/",
    )
