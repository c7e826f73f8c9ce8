"""A trial's log: what its attempts printed, one after another in one file, each below a heading. Light: no torch."""

from __future__ import annotations

import re
from pathlib import Path

_HEADING = re.compile(r"^--- attempt (\d+) ---\n", re.M)


def file(folder: Path, trial_id: str) -> Path:
    """Where the log of a trial of this results folder lies."""
    return folder / "logs" / f"{trial_id}.log"


def heading(attempt: int) -> str:
    """The line above what an attempt printed."""
    return f"--- attempt {attempt} ---\n"


def parts(path: Path) -> dict[int, str]:
    """What each attempt printed; empty where the log is not there."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    before, *found = _HEADING.split(text)
    told = {1: before} if before else {}
    for number, printed in zip(map(int, found[::2]), found[1::2], strict=True):
        told[number] = told.get(number, "") + printed
    return told


def blank(path: Path) -> bool:
    """Whether the log has headings alone."""
    return not any(parts(path).values())
