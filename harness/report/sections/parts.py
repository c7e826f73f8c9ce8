"""Where the time of a training step goes: the share of each part, forward and backward, and sequences per second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import pandas as pd

from harness.report import words
from harness.report.evidence import Study, Trial
from harness.report.section import Format, Table, missing, plain, significant, text
from harness.report.sections.timings import DIRECTIONS, Timing, device

ESSENTIAL = ("kernel", "convolution", "linear")
PARTS = (*ESSENTIAL, "elementwise", "compiled", "loss", "optimiser", "data", "other")
PASSES = ("forward", "backward")


@dataclass(frozen=True)
class Profiled:
    """A contestant whose step was timed and profiled."""

    timing: Timing
    seconds: float
    """Of the step under the profiler."""
    shares: Mapping[tuple[str, str], float]
    """(pass, part) to its share of those."""

    def whole(self, part: str) -> float:
        """The part's share, forward and backward together."""
        return sum(self.shares.get((one, part), 0.0) for one in PASSES)

    @property
    def rate(self) -> float:
        """Sequences per second, without the profiler."""
        return self.timing.sizes["batch"] / self.timing.median


def profiled(study: Study, rows: Sequence[Timing]) -> list[Profiled]:
    """Those of `rows` that were profiled, whole steps alone."""
    found = []
    for row in (row for row in rows if row.timed and row.direction == DIRECTIONS["both"]):
        trials = [trial for trial in study.arms()[row.arm] if device(trial) == row.device]
        if shares := _shares(trials, row.backend):
            seconds = mean(trial.last("run", f"{row.backend}/profiled_s") for trial in trials)
            found.append(Profiled(row, seconds, shares))
    return found


def parts_table(stem: str, study: Study, rows: Sequence[Timing]) -> Table | None:
    """Three rows for each profiled contestant: all, forward, backward; None where nothing was profiled."""
    table: list[dict[str, Any]] = []
    found = profiled(study, rows)
    several = len({one.timing.device for one in found}) > 1
    for one in found:
        row = one.timing
        about = dict(zip(study.axes, row.arm, strict=True))
        about |= {"device": row.device} if several else {}
        about |= {"contestant": row.backend}
        timed = {"batch": row.sizes["batch"], "length": row.sizes["length"], "step s": row.median}
        timed |= {"profiled s": one.seconds, "sequences/s": one.rate}
        whole = {part: one.whole(part) for part in PARTS}
        table.append(about | timed | {"pass": "all"} | whole | {"sum": sum(whole.values())})
        for direction in PASSES:
            own = {part: one.shares.get((direction, part), 0.0) for part in PARTS}
            table.append(about | {"pass": direction} | own | {"sum": sum(own.values())})
    if not table:
        return None
    data = pd.DataFrame(table)
    data = data.drop(columns=[part for part in PARTS if not data[part].any()])
    formats: dict[str, Format] = dict.fromkeys(data.columns, text)
    formats |= dict.fromkeys((*PARTS, "sum"), _share) | dict.fromkeys(("batch", "length"), _count)
    formats |= dict.fromkeys(("step s", "profiled s", "sequences/s"), significant(3))
    formats = {column: formats[column] for column in data.columns}
    caption = (
        "Where the time of a training step goes, in shares of one step under a profiler (profiled s; step s is the "
        "median without one). Kernel: the parameters' transforms and the kernel, or the tables of chunks; convolution: "
        "the FFT or the chunks' products; linear: encoder, channel mixing and head; elementwise: norms, dropout, "
        "activations, residual, feed-through and the mask of padding; optimiser: the gradient's norms and the update; "
        "data: assembling the batch; other: everything that no part accounts for. A sequence of a task that compares "
        "two is a pair."
    )
    return Table(f"{stem}-parts", caption, data, formats)


def parts_findings(study: Study, rows: Sequence[Timing]) -> list[str]:
    """How much of a step is kernel, convolution and linear layers, and the rate of each step."""
    found = profiled(study, rows)
    if not found:
        return []
    essential = {words.arm_name(one.timing.arm): sum(map(one.whole, ESSENTIAL)) for one in found}
    least, most = (pick(essential, key=lambda name: essential[name]) for pick in (min, max))
    rates: dict[str, list[str]] = {}
    for one in found:
        rates.setdefault(one.timing.device, []).append(f"{words.arm_name(one.timing.arm)} {plain(one.rate)}")
    return [
        f"Kernel, convolution and linear layers take {_share(essential[least])} ({least}) to "
        f"{_share(essential[most])} ({most}) of a step.",
        *(f"Sequences a second on {device}: {'; '.join(each)}." for device, each in rates.items()),
    ]


def _shares(trials: Sequence[Trial], backend: str) -> Mapping[tuple[str, str], float]:
    """(pass, part) to its share, the mean over the trials."""
    found: dict[tuple[str, str], list[float]] = {}
    for trial in trials:
        for name in trial.names("parts"):
            who, _, what = name.partition("/")
            if who == backend:
                which, _, part = what.partition("_share/")
                found.setdefault((which, part), []).append(trial.last("parts", name))
    return {place: mean(values) for place, values in found.items()}


def _share(value: Any) -> str:
    return text(None) if missing(value) else f"{100 * value:.1f} %"


def _count(value: Any) -> str:
    return text(None) if missing(value) else f"{value:,.0f}"
