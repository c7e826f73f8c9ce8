"""What a person sees while trials run: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.launch.options import Outcome
from harness.records import Row, decode

LINE_EVERY_S = 30.0
SHOWN = 8
"""Running trials in the table; the rest are counted."""


class Progress:
    """Counts, running trials with their step, rate and time left. Told from any thread; `tick` draws."""

    def __init__(self, out: TextIO, quiet: bool = False) -> None:
        self.console = Console(file=out, quiet=quiet)
        self._lock = threading.RLock()
        self._live: Live | None = None
        self.name, self.folder, self.total = "", Path(), 0
        self.arms: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.running: dict[str, float] = {}
        self._began = self._said = time.monotonic()

    def begin(self, name: str, folder: Path, arms: dict[str, str], already: int, unknown: int = 0) -> None:
        """Start a sweep of the trials in `arms` (their labels) and `unknown` more, beside `already` finished ones."""
        with self._lock:
            self.name, self.folder, self.total, self.arms = name, folder, len(arms) + unknown, arms
            self.counts.clear()
            self.running.clear()
            self._began = self._said = time.monotonic()
            before = f", {already} finished before" if already else ""
            self.console.print(f"{name}: {self.total} trial{'s' * (self.total != 1)} to run{before}", highlight=False)
            if self.console.is_terminal:
                self._live = Live(console=self.console, auto_refresh=False, transient=True)
                self._live.start()

    def more(self, count: int) -> None:
        """Another attempt at `count` trials of this sweep."""
        with self._lock:
            self.total += count
        self.say(f"{self.name}: trying {count} trial{'s' * (count != 1)} again")

    def suggested(self, arms: dict[str, str]) -> None:
        """Name trials that the sweep had not named when it began."""
        with self._lock:
            self.arms |= arms

    def started(self, trial_id: str) -> None:
        with self._lock:
            self.running[trial_id] = time.monotonic()

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            self.running.pop(outcome.trial_id, None)
            self.counts[outcome.status] += 1

    def tick(self) -> None:
        """Draw; cheap enough for a few times a second."""
        with self._lock:
            if not self.name:
                return
            if self._live is not None:
                self._live.update(Group(Text(self._line()), self._table()), refresh=True)
            elif time.monotonic() - self._said > LINE_EVERY_S:
                self._said = time.monotonic()
                self.say(self._line())

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def end(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None
            self.say(self._line())

    def _line(self) -> str:
        ended, took = sum(self.counts.values()), time.monotonic() - self._began
        parts = [f"{ended}/{self.total} ended", *(f"{count} {status}" for status, count in sorted(self.counts.items()))]
        if self.running:
            parts.append(f"{len(self.running)} running")
        if ended:
            parts.append(f"{60 * ended / max(took, 1e-9):.1f} a minute")
        if 0 < ended < self.total:
            parts.append(f"about {_clock(took / ended * (self.total - ended))} left")
        return f"{self.name}: " + ", ".join([*parts, f"{_clock(took)} so far"])

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
        for trial_id, since in list(self.running.items())[:SHOWN]:
            step = _step(self.folder / f"{trial_id}.jsonl.partial")
            table.add_row(trial_id, self.arms.get(trial_id, ""), step, _clock(time.monotonic() - since))
        return table


def label(job: Row) -> str:
    """The arm of a trial and its seed, or its number in a search, as a person reads them."""
    about = job.get("ablation", {})
    arm = [f"{axis} {value}" for axis, value in about.get("arm", {}).items()]
    tune = about.get("tune", {})
    seed = f"seed {job['spec'].get('seed', 0)}"
    return ", ".join([*arm, f"tuning {tune['index']}" if tune.get("stage") == "tuning" else seed])


def _step(partial: Path) -> str:
    """The last step in a record's tail, or an empty string."""
    try:
        with partial.open("rb") as file:
            file.seek(max(0, partial.stat().st_size - 2048))
            tail = file.read().splitlines()
        steps = [row["step"] for row in (decode(line) for line in tail[1:]) if "step" in row]
    except (OSError, ValueError, TypeError):
        return ""
    return f"step {steps[-1]}" if steps else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
