"""How a time grows with one size while the others stay: a slope on logarithmic axes, and small multiples."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from scipy import stats

from harness.report import style, words
from harness.report.section import Figure, Format, Table, plain, ranged, significant, text
from harness.report.sections.timings import SIZES, Timing
from harness.report.statistics import LEVEL, Estimate

NAMES = {"length": "length L", "state": "state N", "heads": "heads H", "batch": "batch M"}
TITLE_WIDTH = 36
"""Characters of a panel's title in one line."""
LEAST = 3
"""Sizes that a line must have: two would give a slope without a residual."""


@dataclass(frozen=True)
class Line:
    """One contestant at several values of `size`, all else the same; the points by rising size."""

    size: str
    points: tuple[Timing, ...]

    @property
    def panel(self) -> tuple[str, str, str, str, str, str]:
        """What the lines of one panel share."""
        one = self.points[0]
        return self.size, one.what, one.structure, one.direction, one.device, self.fixed

    @property
    def fixed(self) -> str:
        """The basis and the sizes that stay."""
        one = self.points[0]
        stay = [f"{NAMES[size][-1]} {value:,}" for size, value in one.sizes.items() if size != self.size]
        return ", ".join([one.basis, *(stay if one.what != "kernel" else stay[:2])])

    @property
    def x(self) -> list[int]:
        return [point.sizes[self.size] for point in self.points]

    @property
    def slope(self) -> Estimate:
        """The exponent p of time ~ size^p by least squares on logarithms, with its t interval."""
        return slope(self.x, [point.median for point in self.points])

    @property
    def last(self) -> float:
        """The exponent between the two largest sizes."""
        return slope(self.x[-2:], [point.median for point in self.points[-2:]]).value


def slope(x: Sequence[float], y: Sequence[float]) -> Estimate:
    """p of y ~ x^p; an interval needs three points."""
    a, b = np.log(np.asarray(x, dtype=np.float64)), np.log(np.asarray(y, dtype=np.float64))
    centred = a - a.mean()
    p = float(centred @ b / (centred @ centred))
    n = len(a)
    if n < LEAST:
        return Estimate(p, math.nan, math.nan, n)
    residual = b - b.mean() - p * centred
    error = math.sqrt(float(residual @ residual) / (n - 2) / float(centred @ centred))
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 2)) * error
    return Estimate(p, p - half, p + half, n)


def lines(rows: Sequence[Timing]) -> list[Line]:
    """Every contestant that was timed at three or more values of one size, everything else being the same."""
    groups: dict[tuple[Any, ...], dict[int, Timing]] = {}
    for row in (row for row in rows if row.timed):
        for size in SIZES:
            rest = tuple(value for name, value in row.sizes.items() if name != size)
            key = (size, row.setting, row.direction, row.device, rest, row.backend)
            groups.setdefault(key, {}).setdefault(row.sizes[size], row)
    found = [Line(key[0], tuple(points[at] for at in sorted(points))) for key, points in groups.items()]
    kept = [line for line in found if len(line.points) >= LEAST]
    return sorted(kept, key=lambda line: SIZES.index(line.size))


def growth_table(stem: str, found: Sequence[Line]) -> Table:
    """The slopes, contestant by contestant."""
    several = len({line.points[0].what for line in found}) > 1
    table = []
    for line in found:
        one = line.points[0]
        cells: dict[str, Any] = {"grows": NAMES[line.size]} | ({"what": one.what} if several else {})
        cells |= {"at": line.fixed, "contestant": one.backend, "direction": one.direction}
        cells |= {"from": line.x[0], "to": line.x[-1], "slope": line.slope, "slope at the end": line.last}
        table.append(cells)
    data = pd.DataFrame(table)
    formats: dict[str, Format] = dict.fromkeys(data.columns, text)
    formats |= {"slope": ranged(3), "slope at the end": significant(3)}
    caption = (
        "Growth of the median time with one size, the others fixed: the exponent p of time ~ size^p by least squares "
        "with the 95 % interval of the fit, wide where the growth is no power; at the end, between the two largest."
    )
    return Table(f"{stem}-growth", caption, data, formats)


def growth_figures(stem: str, found: Sequence[Line]) -> tuple[Figure, ...]:
    """For each size that grows, small multiples: time against it on logarithmic axes."""
    contestants = list(dict.fromkeys(line.points[0].backend for line in found))
    figures = []
    for size in dict.fromkeys(line.size for line in found):
        own = [line for line in found if line.size == size]
        titles = list(dict.fromkeys(line.panel for line in own))
        steep = max(own, key=lambda line: line.slope.value)
        alt = (
            f"Time against {NAMES[size]} on logarithmic axes for {words.listed(contestants)}. The steepest slope is "
            f"{plain(steep.slope.value)}, of {steep.points[0].backend} ({steep.points[0].direction})."
        )
        caption = f"Time against {NAMES[size]}; points are medians, bars the quartiles over repeats."
        figures.append(
            Figure(f"{stem}-{size}", caption, alt, _Drawing(own, contestants), style.panel_size(len(titles), 2, 3.2))
        )
    return tuple(figures)


@dataclass(frozen=True)
class _Drawing:
    """Paints the panels of one size."""

    lines: Sequence[Line]
    contestants: Sequence[str]

    def __call__(self, canvas: Canvas) -> None:
        panels = list(dict.fromkeys(line.panel for line in self.lines))
        several = [len({panel[field] for panel in panels}) > 1 for field in range(len(panels[0]))]
        grid = style.panels(canvas, len(panels), columns=2)
        for axes, panel in zip(grid, panels, strict=True):
            for line in (line for line in self.lines if line.panel == panel):
                self._line(axes, line)
            parts = [part for part, named in zip(panel, several, strict=True) if named or part == panel[3]]
            axes.set_title(textwrap.fill(", ".join(parts), TITLE_WIDTH))
            _axes(axes, [line for line in self.lines if line.panel == panel])
        style.legend_below(canvas, *grid)

    def _line(self, axes: Axes, line: Line) -> None:
        index = self.contestants.index(line.points[0].backend)
        low, middle, high = (np.array([1e3 * point.seconds[q] for point in line.points]) for q in range(3))
        axes.errorbar(
            line.x,
            middle,
            yerr=np.array([middle - low, high - middle]),
            color=style.colour(index),
            marker=style.marker(index),
            ls=style.dash(index),
            capsize=2.5,
            label=line.points[0].backend,
        )


def _axes(axes: Axes, own: Sequence[Line]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    style.plain_log_ticks(axes.yaxis)
    sizes = sorted({x for line in own for x in line.x})
    axes.set_xticks(sizes, [f"{x:,}" for x in sizes])
    axes.minorticks_off()
    axes.set_xlabel(NAMES[own[0].size])
    axes.set_ylabel("ms")
    axes.grid(which="major")
