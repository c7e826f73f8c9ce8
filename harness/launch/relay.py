"""How a trial and its rows travel: the driver gives what a supervisor elsewhere needs, and gets rows back.

The supervisor sees nothing of the driver's disk, and the driver alone writes records.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from harness import records
from harness.launch.options import Task


class Given(TypedDict):
    """A trial as the driver gives it to a supervisor; plain values."""

    task: Task
    history: list[dict[str, Any]]
    """The ends of the earlier attempts."""
    kept: bytes
    """The lines that the record holds."""
    kept_rows: int
    """How many of them the attempt may keep."""
    plugins: dict[str, str]
    """Path of a plugin file on the driver's machine to its text."""
    store: str
    """Folder or URI that checkpoints outlive this machine in."""
    place: str
    """The trial's folder in the store."""
    only_on: str
    """The Ray node that alone can reach the store; empty where every node can."""
    git: dict[str, object]
    """The commit of the driver's checkout, for the header."""


class Outbox:
    """The record as a supervisor elsewhere sees it: what it held at first, and the rows that are to be sent."""

    def __init__(self, kept: bytes) -> None:
        self._held = kept.splitlines(keepends=True)
        self._unsent: list[bytes] = []
        self.rows = len(self._held)
        self.checkpoints = [
            (number, int(row["attempt"])) for number, row in enumerate(self.held(), 1) if row["row"] == "checkpoint"
        ]
        """(rows, attempt) of every checkpoint that the record names, oldest first."""

    def write(self, row: records.Row) -> None:
        """Queue a row, as `records.Writer` would write it."""
        line = records.encode(row).encode() + b"\n"
        self._unsent.append(line)
        if row["row"] == records.RESUME:
            del self._held[row["rows"] :]
            self.checkpoints = [one for one in self.checkpoints if one[0] <= row["rows"]]
        else:
            self._held.append(line)
        self.rows = len(self._held)
        if row["row"] == "checkpoint":
            self.checkpoints.append((self.rows, int(row["attempt"])))

    def held(self) -> list[records.Row]:
        return [records.decode(line) for line in self._held]

    def take(self) -> bytes:
        """The lines that have not been sent; they count as sent from now on."""
        lines, self._unsent = b"".join(self._unsent), []
        return lines


class LogTail:
    """What a trial's log has grown by."""

    MOST_BYTES = 1 << 20

    def __init__(self, path: Path) -> None:
        self.path, self._at = path, 0

    def take(self) -> bytes:
        """The new part, at most `MOST_BYTES` of it; the rest comes next time."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                new = file.read(self.MOST_BYTES)
        except FileNotFoundError:
            return b""
        self._at += len(new)
        return new
