"""The rows that a trial emits, stamped and counted: the count says which of them a checkpoint covers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
Emit = Callable[[Row], None]
_STAMPED = frozenset({"metric", "checkpoint", "attempt", "end"})


class Journal:
    """Emits the rows of one attempt; `rows` is how many the record holds once the last one has arrived."""

    def __init__(self, emit: Emit, attempt: int) -> None:
        self._emit = emit
        self.attempt = attempt
        self.rows = 0

    def keep(self, rows: int) -> None:
        """Tell the writer to keep only the first `rows` rows of the earlier attempts."""
        self._emit({"row": "resume", "rows": rows})
        self.rows = rows

    def row(self, row: Row) -> None:
        """Emit a row; one that has a time also gets this moment's and the attempt's number."""
        if row["row"] in _STAMPED:
            row = {**row, "time": time.time(), "attempt": self.attempt}
        self._emit(row)
        self.rows += 1

    def metric(self, name: str, value: float, *, step: int, split: str, unit: str = "") -> None:
        """Emit one number, with its unit, after `step` steps."""
        row = {"row": "metric", "name": name, "value": float(value), "unit": unit, "step": step, "split": split}
        self.row(row)

    def array(self, name: str, values: Any) -> None:
        """Emit a (nested) list of floats."""
        self.row({"row": "array", "name": name, "values": values})
