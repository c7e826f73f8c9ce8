"""The record: one JSON-lines file per trial, the durable state of a sweep.

Rows, in order: one `header`; then `metric`, `array`, `checkpoint` and `attempt` rows; one `end`. While a trial
runs the file is `<trial_id>.jsonl.partial`; whole, it is renamed to `<trial_id>.jsonl`. results/README.md has
every field.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError

SCHEMA = 1
STATUSES = ("done", "diverged", "stopped", "timeout", "out_of_memory", "unsupported", "error", "interrupted")
FINISHED = frozenset({"done", "diverged", "unsupported", "stopped"})
"""Statuses that a rerun skips; every other one is tried again."""
RESUME = "resume"
"""The row kind by which a resumed trial asks its writer to keep only the first `rows` rows."""

Row = dict[str, Any]
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(row: Row) -> str:
    """One line of JSON; a float that is not finite becomes the string "nan", "inf" or "-inf"."""
    try:
        return json.dumps(row, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_spell(row), allow_nan=False, separators=(",", ":"))


def decode(line: str | bytes) -> Row:
    """The row of one line; the value of a metric spelt "nan", "inf" or "-inf" is a float again.

    Raises ValueError for what is no row.
    """
    row: Row = json.loads(line)
    if not isinstance(row, dict) or "row" not in row:
        raise ValueError("a line of a record is an object that says which row it is")
    if isinstance(row.get("value"), str):
        row["value"] = _NOT_FINITE.get(row["value"], row["value"])
    return row


def _spell(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _spell(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell(item) for item in value]
    return value


@dataclass(frozen=True)
class Record:
    """A record read back. `end` is None while the trial has not ended (or its file was cut)."""

    path: Path
    header: Row
    rows: tuple[Row, ...]
    """Every row between header and end, in order."""
    end: Row | None

    @property
    def trial_id(self) -> str:
        return str(self.header["trial_id"])

    @property
    def status(self) -> str:
        return str(self.end["status"]) if self.end else "interrupted"

    def metrics(self) -> Iterator[Row]:
        """The metric rows, in the order in which they were written."""
        return (row for row in self.rows if row["row"] == "metric")


def lines(path: Path) -> list[bytes]:
    """The whole lines of a record that decode; a half-written tail is left out."""
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            decode(line)
        except ValueError:
            break
        kept.append(line)
    return kept


def resumable(folder: Path, trial_id: str) -> list[bytes]:
    """The lines that a further attempt finds: of the whole or the partial file, without the end row."""
    path = folder / f"{trial_id}.jsonl"
    partial = folder / f"{trial_id}.jsonl.partial"
    kept = lines(path) if path.exists() else lines(partial) if partial.exists() else []
    return kept[:-1] if kept and decode(kept[-1])["row"] == "end" else kept


def is_header(row: Row, path: Path) -> bool:
    """Whether `row` begins the record that the file's name says.

    A trial id becomes part of other paths, so that the name of a file, which is part of one, is what is believed.
    """
    named = path.name.removesuffix(".partial").removesuffix(".jsonl")
    tables = (row.get(key, {}) for key in ("spec", "ablation", "data"))
    return row["row"] == "header" and row.get("trial_id") == named and all(isinstance(one, dict) for one in tables)


def _is_end(row: Row) -> bool:
    return row.get("row") == "end" and row.get("status") in STATUSES


def read(path: Path) -> Record:
    """Read a record, whole or partial. Raises UsageError when it has no header or a newer schema."""
    rows = [decode(line) for line in lines(path)]
    if not rows or not is_header(rows[0], path):
        raise UsageError(
            f"'{path}' is not a trial record: its first line is no header of the trial that the file is named after. "
            f"Remove it and run again."
        )
    if rows[0]["schema"] > SCHEMA:
        raise UsageError(
            f"'{path}' has record schema {rows[0]['schema']}, this harness reads up to {SCHEMA}. Update the harness."
        )
    end = rows[-1] if _is_end(rows[-1]) else None
    return Record(path, rows[0], tuple(rows[1 : len(rows) - (end is not None)]), end)


@dataclass(frozen=True)
class State:
    """What a rerun must know of a trial, read from the first and last lines alone."""

    trial_id: str
    status: str
    reason: str
    attempts: int
    fingerprint: str
    seconds: float
    path: Path
    spec: Row
    ablation: Row
    created: float = 0.0

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Of several records of one trial the largest counts: a finished one, then a whole one, then the newest."""
        return self.status in FINISHED, self.path.suffix != ".partial", self.created


def state(path: Path) -> State | None:
    """The state of one record file, or None when it has no readable header."""
    with path.open("rb") as file:
        first = file.readline()
        file.seek(max(0, path.stat().st_size - 65536))
        last = file.read().splitlines()[-1:]
    try:
        header = decode(first)
    except ValueError:
        return None
    if not is_header(header, path):
        return None
    try:
        end = decode(last[0])
    except (ValueError, IndexError):
        end = {}
    if not _is_end(end) or path.suffix == ".partial":
        end = {"status": "interrupted", "reason": "the run was cut before the trial ended"}
    return State(
        trial_id=header["trial_id"],
        status=end["status"],
        reason=end.get("reason", ""),
        attempts=end.get("attempt", 1),
        fingerprint=header.get("data", {}).get("fingerprint", ""),
        seconds=end.get("seconds", 0.0),
        path=path,
        spec=header.get("spec", {}),
        ablation=header.get("ablation", {}),
        created=header.get("created", 0.0),
    )


def scan(*folders: Path) -> dict[str, State]:
    """The state of every trial of an ablation that has a record in one of the folders; of several, that of `rank`."""
    found: dict[str, State] = {}
    for folder in folders:
        for pattern in ("*.jsonl.partial", "*.jsonl"):
            for path in sorted(folder.glob(pattern)):
                try:
                    one = state(path)
                except FileNotFoundError:
                    # It ended after it was listed; its whole file is listed next.
                    continue
                if one is not None and (one.trial_id not in found or one.rank > found[one.trial_id].rank):
                    found[one.trial_id] = one
    return found


class Writer:
    """Appends rows to `<trial_id>.jsonl.partial` and renames it when the end row is written.

    Opening it turns a record of an earlier attempt back into a partial one, its end row taken off.
    """

    def __init__(self, folder: Path, trial_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{trial_id}.jsonl"
        self.partial = folder / f"{trial_id}.jsonl.partial"
        kept = resumable(folder, trial_id)
        if self.path.exists():
            self.path.replace(self.partial)
        self.rows = 0
        self._keep(kept)

    def write(self, row: Row) -> None:
        """Append a row; a `resume` row keeps only that many of the earlier rows; an `end` row ends the file."""
        if row["row"] == RESUME:
            self._file.close()
            self._keep(lines(self.partial)[: row["rows"]])
            return
        self._file.write(encode(row).encode() + b"\n")
        self._file.flush()
        self.rows += 1
        if row["row"] == "end":
            os.fsync(self._file.fileno())
            self._file.close()
            self.partial.replace(self.path)

    def held(self) -> list[Row]:
        """The rows that the record has by now."""
        return [decode(line) for line in lines(self.partial)]

    def close(self) -> None:
        """Leave the partial file as it is, for a later attempt to continue."""
        # A row that found no room on the disk is still in the buffer, and finds none now.
        with contextlib.suppress(OSError):
            self._file.close()

    def _keep(self, kept: list[bytes]) -> None:
        beside = self.partial.with_suffix(".rewrite")
        # A link that somebody left there would be written through.
        beside.unlink(missing_ok=True)
        beside.write_bytes(b"".join(kept))
        beside.replace(self.partial)
        self.rows = len(kept)
        self._file = self.partial.open("ab")
