"""Checkpoints: whole or absent, the previous one kept, and tied to the rows of the record that they continue.

A file is named by the number of rows that the record holds once its own `checkpoint` row is written; it is on disk
before that row is emitted. So the rows up to a checkpoint row are never written twice, and a trial can only go on from
a checkpoint whose rows the record really has.
"""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

KEPT = 2
"""The newest, and the one before it for the day on which the newest cannot be read."""

Content = dict[str, Any]


@dataclass
class Progress:
    """How far a training run is, with what the next row needs: partial sums, the best state, the clocks."""

    step: int = 0
    """Updates done."""
    evaluated: int = 0
    """The step of the last evaluation."""
    loss_sum: float = 0.0
    loss_steps: int = 0
    """The sum of the training losses since the last row of them, and how many these are."""
    best_step: int = 0
    best_score: float | None = None
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)
    first_step_s: float = 0.0
    train_s: float = 0.0
    timed_steps: int = 0
    """Steps that `train_s` covers: all but the first of each attempt."""
    eval_s: float = 0.0


@dataclass(frozen=True)
class Found:
    """What a search for a checkpoint came to; `notes` say in sentences why a newer one was passed over."""

    content: Content | None
    rows: int
    notes: tuple[str, ...]


def save(folder: Path, rows: int, content: Content) -> None:
    """Write `content` as the checkpoint of `rows` rows, atomically, and drop all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{os.getpid()}.partial"
    # Written by torch itself, a full disk would be a RuntimeError of its archive writer, with no word of the disk.
    whole = io.BytesIO()
    torch.save({**content, "rows": rows}, whole)
    try:
        with beside.open("wb") as file:
            file.write(whole.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / f"{rows:08d}.pt")
    finally:
        beside.unlink(missing_ok=True)
    _sync(folder)
    for old in _files(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def find(folder: Path | None, kept_rows: int, origin: dict[str, str]) -> Found:
    """The newest readable checkpoint that continues a record of `kept_rows` rows, made under the same `origin`.

    Newer files than that one continue rows which the record does not have; they are removed.
    """
    notes: list[str] = []
    for path in _files(folder) if folder else []:
        rows = _rows(path)
        if rows <= kept_rows:
            try:
                content = _read(path)
            except Exception as problem:
                notes.append(f"Checkpoint {path.name} cannot be read ({type(problem).__name__}: {problem}).")
            else:
                changed = [name for name, value in origin.items() if content["origin"].get(name) != value]
                if not changed:
                    return Found(content, rows, tuple(notes))
                notes.append(f"Checkpoint {path.name} was made with another {' and '.join(changed)}.")
        path.unlink(missing_ok=True)
    return Found(None, 0, tuple(notes))


def clear(folder: Path | None) -> None:
    """Remove a trial's checkpoints and their folder; files that are not ours stay."""
    if folder is None or not folder.is_dir():
        return
    for path in [*_files(folder), *folder.glob("*.partial")]:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def random_state() -> dict[str, torch.Tensor]:
    """The state of the generators that dropout draws from."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, torch.Tensor]) -> None:
    """Go on drawing where `random_state` was taken."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def _files(folder: Path) -> list[Path]:
    """The checkpoints of a folder, newest first."""
    return sorted((path for path in folder.glob("*.pt") if path.stem.partition("-")[0].isdecimal()), reverse=True)


def _rows(path: Path) -> int:
    """What the name begins with; one that came back from a store has its attempt behind."""
    return int(path.stem.partition("-")[0])


def _read(path: Path) -> Content:
    # torch.load does not look at the archive's checksums, so that a flipped bit would become a weight.
    with zipfile.ZipFile(path) as archive:
        if (bad := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {bad}")
    content: Content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not isinstance(content.get("origin"), dict):
        raise ValueError("it does not say where it comes from")
    return content


def _sync(folder: Path) -> None:
    """Make a rename last through a power cut, where the file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
