"""`make verify`: what passed is not run again at the same commit, and all that came of it is written down.

The notes lie in a folder of their own, one file for each commit with its edits. It is given as `--resume=FOLDER`: after
a blank, pytest would take it for a folder of tests. From the notes the report results/verify.txt is written at the end
of every run, complete or cut, to be committed as evidence.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "results" / "verify.txt"


class Verify:
    """A plugin of pytest: notes every outcome, leaves out what has passed, and writes the report."""

    def __init__(self, folder: Path, report: Path = REPORT) -> None:
        folder.mkdir(exist_ok=True)
        self.report = report
        elsewhere = ["--", ".", f":(exclude){REPORT.relative_to(ROOT)}"]
        changed = git("diff", "HEAD", *elsewhere) + git("status", "--porcelain", *elsewhere)
        self.commit, self.dirty = git("rev-parse", "HEAD").strip() or "no commit", bool(changed)
        edits = f"-{hashlib.sha256(changed.encode()).hexdigest()[:12]}" if changed else ""
        self.notes = folder / f"{self.commit}{edits}.jsonl"
        noted = self.notes.read_text().splitlines() if self.notes.exists() else ()
        rows: list[dict[str, Any]] = [json.loads(line) for line in noted]
        self.outcomes = {row["test"]: row for row in rows}
        self.failures = Counter(row["test"] for row in rows if row["outcome"] == "failed")
        self.chosen: list[str] = []
        self._running: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(trylast=True)  # After -m has chosen.
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self.chosen = [item.nodeid for item in items]
        passed = {name for name, row in self.outcomes.items() if row["outcome"] == "passed"}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
        items[:] = [item for item in items if item.nodeid not in passed]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        one = self._running.setdefault(report.nodeid, {"test": report.nodeid, "outcome": "passed", "seconds": 0.0})
        one["seconds"] = round(one["seconds"] + report.duration, 2)
        if report.outcome != "passed":
            one |= {"outcome": report.outcome, "reason": _reason(report)}
        if report.when == "teardown":
            self.outcomes[report.nodeid] = self._running.pop(report.nodeid)
            self.failures[report.nodeid] += one["outcome"] == "failed"
            with self.notes.open("a") as file:
                file.write(json.dumps(one) + "\n")

    def pytest_sessionfinish(self) -> None:
        if self.chosen:
            self.report.write_text("\n".join(self.lines()) + "\n")

    def lines(self) -> list[str]:
        """The report: commit, date, machine and counts, then one line for each test, with the reason of a skip."""
        rows = [self.outcomes.get(name, {"test": name, "outcome": "not run", "seconds": 0.0}) for name in self.chosen]
        counts = Counter(row["outcome"] for row in rows)
        seconds = sum(row["seconds"] for row in rows)
        return [
            f"commit   {self.commit}{', with edits that it lacks' if self.dirty else ''}",
            f"date     {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
            f"machine  {machine()}",
            f"tests    {len(rows)}: {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}; "
            f"{seconds:.0f} s",
            "",
            *(f"{row['outcome']:8} {row['seconds']:7.1f} s  {row['test']}{self._because(row)}" for row in rows),
        ]

    def _because(self, row: dict[str, Any]) -> str:
        """The reason of what did not pass, and how often a test that passes now has failed at this commit."""
        reason = f": {row['reason']}" if row.get("reason") else ""
        failures = self.failures[row["test"]] * (row["outcome"] == "passed")
        return (reason + (f"; failed {failures} times before" if failures else "")).replace(str(ROOT.parent), "..")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout


def machine() -> str:
    from harness import environment

    versions = ", ".join(f"{name} {version}" for name, version in environment.versions().items())
    name = environment.device(threads=1)["name"]
    return f"{name}, {os.cpu_count()} processors, {platform.system()} {platform.machine()}; {versions}"


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped, or the last line of what a failure said."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    lines = [line.removeprefix("E").strip() for line in str(report.longrepr).splitlines() if line.startswith("E ")]
    return lines[0] if lines else str(report.longrepr).strip().partition("\n")[0]
