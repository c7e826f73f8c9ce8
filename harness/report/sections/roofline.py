"""Rates against what the machine can do, measured in the same run.

    roofline: a call takes at least max(flops / peak FLOP/s, bytes / peak bytes/s)

Work is counted from the sizes alone, the same for every contestant of an arm, so that rates compare. Source: Williams,
Waterman, Patterson (2009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.report.evidence import Study
from harness.report.section import Format, Table, missing, plain, text
from harness.report.sections.timings import Timing


def roofline_table(stem: str, study: Study, rows: Sequence[Timing]) -> Table | None:
    """Useful FLOP/s and bytes/s and their shares of the ceilings; None without ceilings, as in older records."""
    measured = [row for row in rows if row.timed and not math.isnan(row.gemm_flops_per_s)]
    if not measured:
        return None
    table = []
    for row in measured:
        flops, moved = row.flops / row.median, row.moved_bytes / row.median
        least = max(row.flops / row.gemm_flops_per_s, row.moved_bytes / row.copy_bytes_per_s)
        cells: dict[str, Any] = dict(zip(study.axes, row.arm, strict=True))
        cells |= {"what": row.what, "contestant": row.backend, "direction": row.direction}
        cells |= {"GFLOP/s": flops / 1e9, "of product": flops / row.gemm_flops_per_s}
        cells |= {"GB/s": moved / 1e9, "of copy": moved / row.copy_bytes_per_s, "of roofline": least / row.median}
        table.append(cells)
    data = pd.DataFrame(table)
    formats: dict[str, Format] = dict.fromkeys(data.columns, text)
    formats |= {"GFLOP/s": _number, "GB/s": _number, "of product": _share, "of copy": _share, "of roofline": _share}
    product, copy = (max(getattr(row, name) for row in measured) for name in ("gemm_flops_per_s", "copy_bytes_per_s"))
    caption = (
        f"Useful work against the machine's ceilings, measured at the start and the end of each run: up to "
        f"{plain(product / 1e9)} GFLOP/s for a large matrix product, {plain(copy / 1e9)} GB/s for a large copy. The "
        f"work of a call is counted from its sizes alone, the same for every contestant; the roofline is the least "
        f"time that these ceilings allow for it."
    )
    return Table(f"{stem}-roofline", caption, data, formats)


def _number(value: Any) -> str:
    return text(None) if missing(value) else plain(value, 3)


def _share(value: Any) -> str:
    return text(None) if missing(value) else f"{100 * value:.2g} %"
