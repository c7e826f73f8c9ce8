"""Which data files the registered tasks read, which of them are there, and whether they are whole. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.registry import lookup
from harness.tasks import TASKS
from harness.tasks.files import DataFile, digest, find


@dataclass(frozen=True)
class Row:
    """One file of one task; `file` is empty for a task that reads none."""

    task: str
    file: str
    present: bool
    ok: bool | None
    """None where it was not checked."""
    note: str


def inventory(data_root: Path | None) -> list[Row]:
    """Every file of every task: where it is, or where to get it. Reads nothing."""
    return [_row(task, file, data_root, checked=False) for task, file in _wanted()]


def verify(data_root: Path | None) -> list[Row]:
    """Like `inventory`, with every file that is there read in full.

    `note` says what it holds and the beginning of its digest (`files.digest`), or what is wrong.
    """
    return [_row(task, file, data_root, checked=True) for task, file in _wanted()]


def _wanted() -> list[tuple[str, DataFile | None]]:
    wanted: list[tuple[str, DataFile | None]] = []
    for task in TASKS:
        files = lookup("task", TASKS, task).files()
        wanted += [(task, file) for file in files] or [(task, None)]
    return wanted


def _row(task: str, file: DataFile | None, data_root: Path | None, *, checked: bool) -> Row:
    if file is None:
        return Row(task, "", present=True, ok=True, note="reads no file")
    path = find(file, data_root)
    if path is None:
        use = "" if file.needed else "Optional: the task makes its own data. "
        fetch = f" `harness data prepare {task}` fetches it." if file.needed and (file.url or file.archived) else ""
        return Row(task, file.name, present=False, ok=None, note=f"{use}Get it from {file.origin}.{fetch}")
    if not checked:
        return Row(task, path.name, present=True, ok=None, note=str(path))
    try:
        return Row(task, path.name, present=True, ok=True, note=f"{file.check(path)}; SHA-256 {digest(path)[:16]}")
    except HarnessError as problem:
        return Row(task, path.name, present=True, ok=False, note=str(problem))
