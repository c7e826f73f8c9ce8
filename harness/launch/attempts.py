"""What earlier attempts at a trial came to, read from its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import records
from harness.errors import UsageError

FAILED = frozenset({"error", "timeout", "out_of_memory"})
"""Statuses that use up an attempt."""


@dataclass(frozen=True)
class Earlier:
    """The ends of the earlier attempts, oldest first, as the next attempt's row will carry them."""

    history: tuple[dict[str, Any], ...] = ()

    @property
    def next(self) -> int:
        """The number of the next attempt; the first is 1."""
        return len(self.history) + 1

    @property
    def failures(self) -> int:
        return sum(end["status"] in FAILED for end in self.history)

    def used_up(self, most: int) -> bool:
        """Whether no attempt is left of `most`, or memory ran out again in the one that needs less of it."""
        return self.failures >= most or sum(end["status"] == "out_of_memory" for end in self.history) > 1


def earlier(folder: Path, trial_id: str) -> Earlier:
    """Read `<trial_id>.jsonl`, else its partial form; empty when there is neither, or no readable header."""
    for path in (folder / f"{trial_id}.jsonl", folder / f"{trial_id}.jsonl.partial"):
        if not path.exists():
            continue
        try:
            record = records.read(path)
        except UsageError:
            continue
        rows = [row for row in record.rows if row["row"] == "attempt"]
        last = rows[-1] if rows else {"history": []}
        end = record.end or {"status": "interrupted", "reason": "the run was cut before the trial ended"}
        how = {"accumulate": last["accumulate"]} if "accumulate" in last else {}
        return Earlier((*last["history"], {"status": end["status"], "reason": end.get("reason", ""), **how}))
    return Earlier()
