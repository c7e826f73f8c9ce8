"""Where we lose: shapes at which a rival is shown to be faster than every backend of this project."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report import words
from harness.report.section import ranged
from harness.report.sections.timings import Timing, faster

OURS = ("auto", "krylov", "triton", "two_level")
"""Backends that this project wrote to be fast; every other one is what users have today, or a reference."""
GIVEN = "given"
"""A kernel given free is a bound, and no rival."""


def name_of(contestant: str) -> str:
    """The backend's name without options and application."""
    return contestant.partition("(")[0].partition("+")[0].strip()


def losses(rows: Sequence[Timing]) -> list[str]:
    """A sentence that lists the shapes where the fastest rival beats the fastest of ours; [] where they never met."""
    shapes: dict[tuple[object, ...], list[Timing]] = {}
    for row in (row for row in rows if row.timed):
        shapes.setdefault((row.arm, row.device, row.direction), []).append(row)
    met, lost = 0, []
    for members in shapes.values():
        ours = [row for row in members if name_of(row.backend) in OURS]
        rivals = [row for row in members if name_of(row.backend) not in (*OURS, GIVEN)]
        if not ours or not rivals:
            continue
        met += 1
        mine, rival = (min(side, key=lambda row: row.median) for side in (ours, rivals))
        lead = faster(mine.samples, rival.samples)
        if lead.has_interval and lead.low > 1:
            lost.append(
                f"{rival.backend} is {ranged(3)(lead)} times as fast as {mine.backend} "
                f"({words.arm_name(rival.arm)}, {rival.direction})"
            )
    if not met:
        return []
    if not lost:
        return [f"In none of {words.count(met, 'shape')} is a rival shown to be faster than the fastest of ours."]
    return [f"We lose at {len(lost)} of {words.count(met, 'shape')}: {'; '.join(lost)}."]
