"""What a run leaves on the screen: the counts by status, one example of each failure, and how to go on."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from harness.records import STATUSES

GOOD = frozenset({"done", "unsupported", "stopped"})
"""Statuses that leave nothing to mend: a backend that says why it cannot, or a search that gave a trial up."""


@dataclass
class Tally:
    """The trials of one sweep by status; `waiting` are those that have no record yet."""

    name: str
    used_up: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, tuple[str, str]] = field(default_factory=dict)
    note: str = ""
    """Something beside the trials that went wrong, as a sentence without its end."""
    tried: int = 0
    """Configurations of a search that diverged, which is what it wanted to know."""

    def add(self, trial_id: str, status: str, reason: str, tuning: bool = False) -> None:
        self.counts[status] += 1
        self.tried += tuning and status == "diverged"
        if status not in ("done", "waiting"):
            self.examples.setdefault(status, (trial_id, reason))

    @property
    def complete(self) -> bool:
        return {status for status in self.counts if self.counts[status] > (status == "diverged") * self.tried} <= GOOD


def print_summary(tallies: Sequence[Tally], stopped_by: str, begun_anew: bool, quiet: bool = False) -> None:
    """Print the table, one example for each status that has a reason, and what to do next.

    `begun_anew`: --force has done its work, and would undo it if it were given again.
    """
    console = Console(quiet=quiet)
    columns = [status for status in (*STATUSES, "waiting") if any(tally.counts[status] for tally in tallies)]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("ablation")
    for status in columns:
        table.add_column(status, justify="right")
    for tally in tallies:
        table.add_row(tally.name, *(str(tally.counts[status] or "-") for status in columns))
    console.print(table)
    say = functools.partial(console.print, highlight=False, markup=False, soft_wrap=True)
    for tally in tallies:
        for status, (trial_id, reason) in tally.examples.items():
            more = f" and {tally.counts[status] - 1} more" if tally.counts[status] > 1 else ""
            say(f"{tally.name}: {status}: {reason or 'no reason given'} ({trial_id}{more})")
        if tally.note:
            say(f"{tally.name}: {tally.note}; the records have everything.")
        if tally.used_up:
            say(
                f"{tally.name}: {tally.used_up} failed trials have used up their attempts; "
                f"`harness retry` tries them again."
            )
    if stopped_by and not all(tally.complete for tally in tallies):
        how = "Run it again without --force to go on" if begun_anew else "The same command goes on"
        say(f"Stopped by {stopped_by}. {how} where it stopped.")
