"""Small pictures of what a trial learned, drawn from its record's array rows.

Plain SVG text: a sweep's mirror draws one set for each trial, and a plotting library takes 0.2 s for each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, TOP = 340, 190, 62, 30
"""Of one panel's drawing area, and the margins before it, in pixels."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
CURVES, POINTS, BINS = 4, 300, 24


def draw(arrays: Mapping[str, Any]) -> dict[str, str]:
    """File name to SVG: `kernels.svg` from kernel/initial and kernel/final (..., L), `dt.svg` from dt/* (any shape)."""
    drawn = {}
    moments = [moment for moment in ("initial", "final") if f"kernel/{moment}" in arrays]
    if moments:
        panels = [(f"kernel, {moment}", _curves(arrays[f"kernel/{moment}"])) for moment in moments]
        drawn["kernels.svg"] = _kernels(panels)
    steps = {m: _flat(arrays[f"dt/{m}"]) for m in ("initial", "final") if f"dt/{m}" in arrays}
    if any(steps.values()):
        drawn["dt.svg"] = _histogram(steps)
    return drawn


def _curves(values: Any) -> list[list[float]]:
    """The first rows of a nested list, whatever its depth."""
    while values and isinstance(values[0], list) and values[0] and isinstance(values[0][0], list):
        values = [row for block in values for row in block]
    rows = values if values and isinstance(values[0], list) else [values]
    return [[float(value) for value in row] for row in rows[:CURVES]]


def _flat(values: Any) -> list[float]:
    if isinstance(values, list):
        return [number for item in values for number in _flat(item)]
    number = float(values)
    return [number] if math.isfinite(number) and number > 0 else []


def _kernels(panels: Sequence[tuple[str, list[list[float]]]]) -> str:
    finite = [v for _, curves in panels for curve in curves for v in curve if math.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    body = []
    for number, (title, curves) in enumerate(panels):
        length = max((len(curve) for curve in curves), default=1)
        left = LEFT + number * (WIDTH + LEFT)
        body += _frame(left, title, ("0", f"{length - 1} steps"), (f"{low:.3g}", f"{high:.3g}"))
        for curve, colour in zip(curves, COLOURS, strict=False):
            stride = max(1, len(curve) // POINTS)
            points = [
                f"{left + WIDTH * i / max(1, length - 1):.1f},{TOP + HEIGHT * (high - curve[i]) / span:.1f}"
                for i in range(0, len(curve), stride)
                if math.isfinite(curve[i])
            ]
            body.append(f'<polyline fill="none" stroke="{colour}" points="{" ".join(points)}"/>')
    return _svg(len(panels), "Kernels of the first heads, " + " and ".join(title for title, _ in panels), body)


def _histogram(moments: Mapping[str, list[float]]) -> str:
    every = [math.log10(value) for values in moments.values() for value in values]
    low, high = min(every), max(every)
    low, high = (low, high) if high - low > 1e-6 else (low - 0.5, high + 0.5)
    counts = {}
    for moment, values in moments.items():
        counts[moment] = [0] * BINS
        for value in values:
            counts[moment][min(BINS - 1, int((math.log10(value) - low) / (high - low) * BINS))] += 1
    top = max(max(bars) for bars in counts.values())
    body = _frame(LEFT, "dt: " + ", ".join(counts), (f"{10**low:.3g}", f"{10**high:.3g}"), ("0", str(top)))
    for (moment, bars), colour in zip(counts.items(), COLOURS, strict=False):
        for number, count in enumerate(bars):
            tall = HEIGHT * count / top
            body.append(
                f'<rect x="{LEFT + WIDTH * number / BINS:.1f}" y="{TOP + HEIGHT - tall:.1f}" '
                f'width="{WIDTH / BINS:.1f}" height="{tall:.1f}" fill="{colour}" fill-opacity="0.5">'
                f"<title>{escape(moment)}: {count}</title></rect>"
            )
    return _svg(1, "Distribution of dt over heads, " + " and ".join(counts), body)


def _frame(left: int, title: str, x: tuple[str, str], y: tuple[str, str]) -> list[str]:
    low = TOP + HEIGHT
    return [
        f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>',
        f'<text x="{left}" y="{TOP - 10}">{escape(title)}</text>',
        f'<text x="{left}" y="{low + 16}">{escape(x[0])}</text>',
        f'<text x="{left + WIDTH}" y="{low + 16}" text-anchor="end">{escape(x[1])}</text>',
        f'<text x="{left - 4}" y="{low}" text-anchor="end">{escape(y[0])}</text>',
        f'<text x="{left - 4}" y="{TOP + 10}" text-anchor="end">{escape(y[1])}</text>',
    ]


def _svg(panels: int, title: str, body: Iterable[str]) -> str:
    width, height = panels * (WIDTH + LEFT) + 20, TOP + HEIGHT + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" role="img"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="white"/>' + "\n".join(body) + "</svg>\n"
    )
