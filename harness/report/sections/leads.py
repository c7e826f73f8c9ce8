"""How many times as fast ours are as each rival: a row for each shape and contestant of ours, a column for a rival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.report.evidence import Study
from harness.report.section import Format, Table, ranged, text
from harness.report.sections.losses import OURS, name_of
from harness.report.sections.timings import SIZES, Timing, faster

AXES_OF_SIZE = {f"timer.{size}" for size in SIZES}


def leads_table(stem: str, study: Study, rows: Sequence[Timing]) -> Table | None:
    """The ratios of every shape at which one of ours and a rival were both timed; None where they never met."""
    shapes: dict[tuple[object, ...], list[Timing]] = {}
    for row in (row for row in rows if row.timed):
        shapes.setdefault((row.arm, row.device, row.direction), []).append(row)
    rivals = dict.fromkeys(row.backend for row in rows if name_of(row.backend) not in OURS)
    several = len({row.device for row in rows}) > 1
    table = []
    for members in shapes.values():
        others = {row.backend: row for row in members if row.backend in rivals}
        for mine in (row for row in members if name_of(row.backend) in OURS and others):
            ratios = {name: faster(other.samples, mine.samples) for name, other in others.items()}
            where = {"device": mine.device} if several else {}
            table.append(where | _shape(study, mine) | {f"over {name}": ratio for name, ratio in ratios.items()})
    if not table:
        return None
    data = pd.DataFrame(table)
    data["outcome"] = data.pop("outcome")
    formats: dict[str, Format] = {one: ranged(3) if one.startswith("over ") else text for one in data.columns}
    caption = (
        "How many times as fast ours are as what stands above each column, over the same rounds, with 95 % intervals; "
        "below 1 we lose. A kernel that is given is a bound: nothing is spent to make it."
    )
    return Table(f"{stem}-leads", caption, data, formats)


def _shape(study: Study, row: Timing) -> dict[str, Any]:
    named = {axis: label for axis, label in zip(study.axes, row.arm, strict=True) if axis not in AXES_OF_SIZE}
    sizes = {axis.partition(".")[2]: row.sizes[axis.partition(".")[2]] for axis in study.axes if axis in AXES_OF_SIZE}
    return named | sizes | {"direction": row.direction, "ours": row.backend, "outcome": row.outcome}
