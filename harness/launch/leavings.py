"""What a trial leaves in its folder beside the record that counts, and when that goes. Light: no torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.launch import log

OVER = frozenset({"done", "diverged", "unsupported", "stopped"})
"""Statuses after which no checkpoint is needed."""


def checkpoints(folder: Path, trial_id: str) -> Path:
    """Where the trial keeps its checkpoints."""
    return folder / "checkpoints" / trial_id


def clear(folder: Path, trial_id: str, status: str) -> None:
    """Remove the checkpoints of a trial that is over.

    For the owner of the record, once that is whole under its final name: until then a cut would begin the trial anew.
    """
    if status in OVER:
        shutil.rmtree(checkpoints(folder, trial_id), ignore_errors=True)


def forget(folder: Path, trial_id: str) -> None:
    """Remove a trial's record, whole or partial, its log and its checkpoints."""
    for path in (folder / f"{trial_id}.jsonl", folder / f"{trial_id}.jsonl.partial", log.file(folder, trial_id)):
        path.unlink(missing_ok=True)
    shutil.rmtree(checkpoints(folder, trial_id), ignore_errors=True)
