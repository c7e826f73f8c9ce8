"""The table of times: one row for each arm, contestant and direction of one structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.report import words
from harness.report.evidence import Study, Trial
from harness.report.section import Format, Table, missing, ranged, significant, text
from harness.report.sections.timings import SIZES, Timing
from harness.report.statistics import Estimate

WHAT = {
    "kernel": "Kernel generation",
    "layer": "Whole layer y = K * u, generation included",
    "step": "Whole training step of an S4 model: forward and loss; with backward, also the optimiser",
    "recipe": "Training step of a preset, forward and loss; with backward, also the batch, the optimiser and all else",
}
FORMATS: dict[str, Format] = {
    "median ms [quartiles]": ranged(3),
    "ratio to baseline": ranged(3),
    "10^6 elements/s": significant(3),
    "sequences/s": significant(3),
    "first call s": significant(3),
    "peak MiB": significant(3),
    "memory ratio": significant(3),
}


def times_table(name: str, study: Study, rows: Sequence[Timing]) -> Table:
    """The times of one kind of timing and one structure."""
    what = rows[0].what
    devices, directions = ([*dict.fromkeys(getattr(row, key) for row in rows)] for key in ("device", "direction"))
    bases = dict.fromkeys(row.basis for row in rows)
    sizes = [size for size in SIZES if what != "kernel" or size != "batch"]
    fixed = [size for size in sizes if len({row.sizes[size] for row in rows}) == 1]
    axes = [axis for axis in study.axes if axis.partition(".")[2] not in SIZES]
    table = []
    for row in rows:
        cells: dict[str, Any] = {axis: label for axis, label in zip(study.axes, row.arm, strict=True) if axis in axes}
        cells |= {"basis": row.basis} if len(bases) > 1 and "basis" not in axes else {}
        cells |= {"device": row.device} if len(devices) > 1 else {}
        cells |= {size: row.sizes[size] for size in sizes if size not in fixed}
        cells["contestant"] = row.backend
        cells |= {"direction": row.direction} if len(directions) > 1 else {}
        table.append(cells | _numbers(row))
    data = pd.DataFrame(table)
    empty = [one for one in ("peak MiB", "memory ratio") if data[one].map(missing).all()]
    data = data.drop(columns=empty)
    formats = FORMATS | {"error": _error, "gradient error": _error}
    formats = {column: formats.get(column, text) for column in data.columns}
    constants = ", ".join(f"{size} {rows[0].sizes[size]:,}" for size in fixed)
    about = {key: words.listed(dict.fromkeys(_timers(study, rows, key))) for key in ("dtype", "threads", "baseline")}
    alone = f", basis {next(iter(bases))}" if len(bases) == 1 and "basis" not in axes else ""
    caption = (
        f"{WHAT.get(what, what)}; {rows[0].structure}{alone}, {words.listed(directions)}, {about['dtype']}, "
        f"{about['threads']} thread{'s' * (about['threads'] != '1')}, baseline {about['baseline']}, on "
        f"{words.listed(devices)}{'; ' + constants if constants else ''}. Elements are "
        f"{'heads' if what == 'kernel' else 'batch times heads'} times length; errors are relative to a float64 "
        f"recurrence; the first call, which may compile, is not among the repeats."
    )
    return Table(name, caption, data, formats, (*(f"{label}." for label in study.labels), *_notes(study, rows)))


def _numbers(row: Timing) -> dict[str, Any]:
    q25, q50, q75 = (1e3 * one for one in row.seconds)
    rates = {"10^6 elements/s": row.rate(row.median) / 1e6 if row.timed else math.nan}
    if row.what != "kernel":
        rates["sequences/s"] = row.sizes["batch"] / row.median if row.timed else math.nan
    return {
        "median ms [quartiles]": Estimate(q50, q25, q75, len(row.samples)),
        "ratio to baseline": row.speed,
        **rates,
        "peak MiB": row.peak_bytes / 2**20,
        "memory ratio": row.memory_ratio,
        "first call s": row.first_call_s,
        "error": row.error,
        "gradient error": row.gradient_error,
        "outcome": row.outcome,
    }


def _notes(study: Study, rows: Sequence[Timing]) -> list[str]:
    """Why contestants were not timed, each reason once, which rows are doubtful, and which have no peak memory."""
    explained = [f"{row.backend}: {row.note.rstrip('.')}." for row in rows if row.note and not row.timed]
    doubtful = [f"{words.arm_name(row.arm)}, {row.direction}: {row.note}." for row in rows if row.note and row.timed]
    unmeasured = [
        f"{row['backend']}, {row['direction']}: peak memory was not measured: {row['reason']}"
        for trial in _trials(study, rows)
        for row in trial.record.rows
        if row["row"] == "unmeasured"
    ]
    return list(dict.fromkeys([*explained, *doubtful, *unmeasured]))


def _timers(study: Study, rows: Sequence[Timing], key: str) -> list[str]:
    """The values of a parameter of the timers behind `rows`, in file order."""
    return [str(trial.spec["timer"][key]) for trial in _trials(study, rows)]


def _trials(study: Study, rows: Sequence[Timing]) -> list[Trial]:
    arms = {row.arm for row in rows}
    return [trial for trial in study.trials if study.arm(trial) in arms]


def _error(value: Any) -> str:
    if missing(value):
        return text(None)
    return "∞" if math.isinf(value) else f"{value:.1e}"
