"""What a record file says at one moment, and which of its rows can no longer be taken back.

A trial that is retried goes on from its last checkpoint, so the rows up to the last checkpoint row are
committed; when the end row is there, all are.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import records
from harness.errors import UsageError
from harness.records import Row


@dataclass(frozen=True)
class Snapshot:
    """One record file as it was read. `lines` are its whole lines, the end row left out."""

    path: Path
    data: bytes
    lines: tuple[bytes, ...]
    header: Row
    end: Row | None
    committed: int
    """How many of `lines` are committed."""

    @property
    def trial_id(self) -> str:
        return str(self.header["trial_id"])

    @property
    def status(self) -> str:
        return str(self.end["status"]) if self.end else "interrupted"

    @functools.cached_property
    def sha256(self) -> str:
        """Of the whole file; it marks an ended record as delivered."""
        return hashlib.sha256(self.data).hexdigest()

    def digest(self, rows: int) -> str | None:
        """16 hex digits over the first `rows` lines; None when there are fewer, so that it equals nothing."""
        if rows > len(self.lines):
            return None
        return hashlib.sha256(b"".join(self.lines[:rows])).hexdigest()[:16]

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """The decoded rows of `lines[start:stop]`."""
        return (records.decode(line) for line in self.lines[start:stop])


def take(path: Path) -> Snapshot | None:
    """Read a record file; None when it is gone or holds no header yet.

    Raises UsageError for a header without the spec or the ablation of its trial.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    lines = [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
    header = _row(lines[0]) if lines else None
    if header is None or not records.is_header(header, path):
        return None
    if not {"trial_id", "spec", "ablation", "created"} <= header.keys():
        raise UsageError(
            f"'{path}' has a header without its trial_id, spec, ablation or time; remove it and run again."
        )
    last = _row(lines[-1])
    end = last if last is not None and last["row"] == "end" and path.suffix != ".partial" else None
    if last is not None and last["row"] == "end":
        lines.pop()
    committed = len(lines) if end else _last_checkpoint(lines)
    return Snapshot(path, data, tuple(lines), header, end, committed)


def files(folder: Path) -> dict[str, Path]:
    """The record file of each trial in `folder`; a whole one wins over a partial one."""
    found = {path.name.removesuffix(".jsonl.partial"): path for path in folder.glob("*.jsonl.partial")}
    return found | {path.name.removesuffix(".jsonl"): path for path in folder.glob("*.jsonl")}


def _last_checkpoint(lines: list[bytes]) -> int:
    for number in range(len(lines), 0, -1):
        # The cheap test first: a long record has one checkpoint row in hundreds of rows.
        if b'"checkpoint"' in lines[number - 1]:
            row = _row(lines[number - 1])
            if row is not None and row["row"] == "checkpoint":
                return number
    return 0


def _row(line: bytes) -> Row | None:
    try:
        return records.decode(line)
    except ValueError:
        return None
