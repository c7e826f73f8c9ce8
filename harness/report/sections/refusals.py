"""Why a contestant was not timed, in the record's own words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from harness.report.evidence import Trial

LONGEST_REASON = 400
"""Characters of a compiler's complaint that are printed."""


def refusal(trials: Sequence[Trial], backend: str, direction: str) -> str:
    """Why `backend` was not timed in `direction`; empty where it was. A row without a direction is about all."""
    for trial in trials:
        for row in trial.record.rows:
            if row.get("backend") == backend and row.get("direction", direction) == direction:
                said = _said(row)
                if said:
                    return said
    if all(trial.status != "done" for trial in trials):
        return f"not timed: the trial ended {trials[0].status}"
    return ""


def _said(row: Mapping[str, Any]) -> str:
    if row["row"] == "unsupported":
        return "unsupported: " + " ".join(map(str, row["reasons"]))
    if row["row"] == "left_out":
        return f"left out: {row['reason']}"
    if row["row"] != "gate" or row["passed"]:
        return ""
    if row.get("reason"):
        reason = textwrap.shorten(str(row["reason"]), LONGEST_REASON, placeholder=" …").rstrip(".")
        return f"raised an error: {reason}, so it was not timed"
    return "failed gate: it does not agree with the float64 recurrence, so it was not timed"
