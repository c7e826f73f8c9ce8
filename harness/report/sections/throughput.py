"""Kernel generation: how fast each backend is, after it proved to be right."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from harness.report import style, words
from harness.report.evidence import Evidence, Study
from harness.report.section import (
    Figure,
    Part,
    Section,
    SectionBuilder,
    Table,
    missing,
    plain,
    ranged,
    significant,
    text,
)
from harness.report.sections.timings import BASELINE_DRIFT, Timing, timings
from harness.report.statistics import Estimate

LENGTH_AXIS = "timer.length"


@dataclass(frozen=True)
class Throughput(SectionBuilder):
    """Kernel timings by backend and length, with ratios, errors and refusals."""

    def applies(self, evidence: Evidence) -> bool:
        return any(study.kind == "throughput" for study in evidence.studies)

    def build(self, evidence: Evidence) -> Section:
        lead = (
            "Backends are timed in turn, round after round, in one process, after each has agreed with a float64 "
            "recurrence. The ratio is the baseline's time over the backend's (above 1: faster than the baseline), the "
            "median over rounds with a 95 % block-bootstrap interval.",
            "The baseline is timed twice in every round, and its own ratio is the first timing over the second; where "
            f"the two medians differ by more than {BASELINE_DRIFT:.0%}, the row is marked unreliable.",
        )
        own = [study for study in evidence.studies if study.kind == "throughput"]
        return Section("Kernel throughput", lead, tuple(_part(study) for study in own))


def findings(study: Study) -> list[str]:
    """The fastest backend, its ratio and where, the headline first."""
    rows = timings(study)
    baselines = words.listed(dict.fromkeys(row.baseline for row in rows))
    rivals = [row for row in rows if row.timed and row.backend != row.baseline]
    raised = dict.fromkeys(row.backend for row in rows if row.note.startswith("raised an error"))
    refused = dict.fromkeys(row.backend for row in rows if row.note.startswith("failed gate"))
    unsupported = dict.fromkeys(row.backend for row in rows if row.note.startswith("unsupported"))
    said = [f"Failed the correctness gate in at least one arm: {words.listed(refused)}."] if refused else []
    said += [f"Raised an error before it could be timed in at least one arm: {words.listed(raised)}."] if raised else []
    said += [f"Unsupported in at least one arm: {words.listed(unsupported)}."] if unsupported else []
    doubtful = sum(row.note.startswith("unreliable") for row in rivals)
    if doubtful:
        said.append(f"{doubtful} of {words.count(len(rivals), 'timing')} marked unreliable: the machine was not quiet.")
    if not rivals:
        return [f"Cannot tell: nothing but the baseline {baselines} was timed.", *said]
    for backend, baseline in dict.fromkeys((row.backend, row.baseline) for row in rivals):
        mine = [row for row in rivals if (row.backend, row.baseline) == (backend, baseline)]
        slow, fast = (pick(mine, key=lambda row: row.speed.value) for pick in (min, max))
        span = plain(slow.speed.value) if slow is fast else f"{plain(slow.speed.value)} to {plain(fast.speed.value)}"
        faster = sum(_faster(row) for row in mine)
        slower = sum(not row.note and row.speed.has_interval and row.speed.high < 1 for row in mine)
        said.append(
            f"{backend} is {span} times as fast as {baseline}: faster in {faster}, slower in {slower} and not told "
            f"apart in {len(mine) - faster - slower} of {words.count(len(mine), 'timing')}."
        )
    best = max(filter(_faster, rivals), key=lambda row: row.speed.value, default=None)
    if best is None:
        return [f"No backend is shown to be faster than {baselines}.", *said]
    return [
        f"Fastest: {best.backend}, {ranged(3)(best.speed)} times as fast as {best.baseline} "
        f"({best.direction}, {words.arm_name(best.arm)}).",
        *said,
    ]


def _faster(row: Timing) -> bool:
    """Whether the row shows its backend to be faster than the baseline: a quiet machine, an interval above 1."""
    return not row.note and row.speed.has_interval and row.speed.low > 1


def _part(study: Study) -> Part:
    rows = timings(study)
    devices = list(dict.fromkeys(row.device for row in rows))
    directions = list(dict.fromkeys(row.direction for row in rows))
    sizes = ("length", "heads", "state")
    fixed = [size for size in sizes if len({getattr(row, size) for row in rows}) == 1]
    table = []
    for row in rows:
        cells: dict[str, Any] = {
            axis: label for axis, label in zip(study.axes, row.arm, strict=True) if not _is_size(axis)
        }
        cells |= {"device": row.device} if len(devices) > 1 else {}
        cells |= {size: getattr(row, size) for size in sizes if size not in fixed}
        q25, q50, q75 = (1e3 * one for one in row.seconds)
        cells["backend"] = row.backend
        cells |= {"direction": row.direction} if len(directions) > 1 else {}
        table.append(
            cells
            | {
                "median ms [quartiles]": Estimate(q50, q25, q75, row.repeats),
                "ratio to baseline": row.speed,
                "10^6 elements/s": row.rate(row.seconds[1]) / 1e6 if row.timed else math.nan,
                "first call s": row.first_call_s,
                "error": row.error,
                "gradient error": row.gradient_error,
                "outcome": row.note.partition(":")[0] or "ok",
            }
        )
    data = pd.DataFrame(table)
    formats = {"median ms [quartiles]": ranged(3), "ratio to baseline": ranged(3), "10^6 elements/s": significant(3)}
    formats |= {"first call s": significant(3), "error": _error, "gradient error": _error}
    formats |= {name: text for name in data.columns if name not in formats}
    constants = ", ".join(f"{size} {getattr(rows[0], size):,}" for size in fixed)
    threads = _timers(study, "threads")
    caption = (
        f"Kernel generation, {words.listed(directions)}, {_timers(study, 'dtype')}, "
        f"{threads} thread{'s' * (threads != '1')}, baseline {_timers(study, 'baseline')}, on {words.listed(devices)}"
        f"{'; ' + constants if constants else ''}. Elements are heads times length; errors are relative to a float64 "
        f"recurrence."
    )
    stem = f"throughput-{study.name}"
    explained = dict.fromkeys(f"{row.backend}: {row.note.rstrip('.')}." for row in rows if row.note and not row.timed)
    doubtful = dict.fromkeys(
        f"{words.arm_name(row.arm)}, {row.direction}: {row.note}." for row in rows if row.note and row.timed
    )
    notes = (*(f"{label}." for label in study.labels), *explained, *doubtful)
    return Part(study.name, tables=(Table(stem, caption, data, formats, notes),), figures=_figures(stem, study, rows))


def _timers(study: Study, key: str) -> str:
    """The different values of a parameter of the timer."""
    return words.listed(dict.fromkeys(str(trial.spec["timer"][key]) for trial in study.trials))


def _is_size(axis: str) -> bool:
    return axis in ("timer.length", "timer.heads", "timer.state")


def _error(value: Any) -> str:
    if missing(value):
        return text(None)
    return "∞" if math.isinf(value) else f"{value:.1e}"


def _figures(stem: str, study: Study, rows: list[Timing]) -> tuple[Figure, ...]:
    timed = [row for row in rows if row.timed]
    if len({row.length for row in timed}) < 2:
        return ()
    several_devices = len({row.device for row in timed}) > 1

    def panel(row: Timing) -> str:
        rest = [label for axis, label in zip(study.axes, row.arm, strict=True) if axis != LENGTH_AXIS]
        return ", ".join([row.direction, *rest, *([row.device] if several_devices else [])])

    titles = list(dict.fromkeys(panel(row) for row in timed))
    backends = list(dict.fromkeys(row.backend for row in timed))
    fastest = max(timed, key=lambda row: row.rate(row.seconds[1]))
    alt = (
        f"Throughput against sequence length on logarithmic axes for {words.listed(backends)}. The highest rate "
        f"is {plain(fastest.rate(fastest.seconds[1]))} elements per second, by {fastest.backend} "
        f"at length {fastest.length}."
    )
    caption = "Throughput against sequence length; points are medians, bars the quartiles over repeats."
    return (
        Figure(
            stem,
            caption,
            alt,
            lambda canvas: _draw(canvas, timed, titles, backends, panel),
            style.panel_size(len(titles), columns=2, height=3.2),
        ),
    )


def _draw(
    canvas: Canvas, timed: list[Timing], titles: list[str], backends: list[str], panel: Callable[[Timing], str]
) -> None:
    grid = style.panels(canvas, len(titles), columns=2)
    for axes, title in zip(grid, titles, strict=True):
        for index, backend in enumerate(backends):
            points = sorted((row.length, row) for row in timed if row.backend == backend and panel(row) == title)
            x = [length for length, _ in points]
            low, middle, high = (np.array([row.rate(row.seconds[which]) for _, row in points]) for which in (2, 1, 0))
            axes.errorbar(
                x,
                middle,
                yerr=np.array([middle - low, high - middle]),
                color=style.colour(index),
                marker=style.marker(index),
                ls=style.dash(index),
                capsize=2.5,
                label=backend,
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        style.plain_log_ticks(axes.yaxis)
        lengths = sorted({row.length for row in timed})
        axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
        axes.minorticks_off()
        axes.set_title(title)
        axes.set_xlabel("sequence length")
        axes.set_ylabel("elements / s")
        axes.grid(which="major")
    style.legend_below(canvas, grid[0])
