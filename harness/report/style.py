"""How figures look: one palette that colour-blind readers can tell apart, one marker and dash for each colour."""

from __future__ import annotations

import html
import io
import re
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.report import escape
from harness.report.section import Figure, plain
from harness.report.statistics import Estimate

INK = "#1b1f24"
PAPER = "#fefefe"
"""INK and PAPER are colours that nothing else uses, so that a page can swap them for its own."""
MUTED = "#7a828c"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))

SETTINGS: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "sans-serif"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.5,
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "grid.color": MUTED,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
}


def colour(index: int) -> str:
    """The index-th of seaborn's colour-blind palette, darkest contrasts first."""
    palette = sns.color_palette("colorblind").as_hex()
    order = (0, 3, 2, 4, 1, 9, 5, 6, 8, 7)
    return str(palette[order[index % len(order)]])


def marker(index: int) -> str:
    return MARKERS[index % len(MARKERS)]


def dash(index: int) -> str | tuple[int, tuple[float, ...]]:
    return DASHES[index % len(DASHES)]


def panels(canvas: Canvas, count: int, columns: int = 3) -> list[Axes]:
    """`count` axes in a grid."""
    width = min(columns, max(1, count))
    rows = -(-count // width)
    return [canvas.add_subplot(rows, width, index + 1) for index in range(count)]


def panel_size(count: int, columns: int = 3, height: float = 2.7) -> tuple[float, float]:
    """Inches for `panels`, with room for a legend below."""
    width = min(columns, max(1, count))
    return (4.4 if width == 1 else 3.1 * width, height * -(-count // width) + 0.5)


def error_bars(axes: Axes, x: float, estimate: Estimate, index: int, label: str | None = None) -> None:
    """A marker with its interval; the bar is left out where there is none."""
    spread = None
    if estimate.has_interval:
        spread = np.array([[estimate.value - estimate.low], [estimate.high - estimate.value]])
    axes.errorbar(
        [x], [estimate.value], yerr=spread, fmt=marker(index), color=colour(index), capsize=2.5, label=label, lw=1.2
    )


def legend_below(canvas: Canvas, *panels: Axes) -> None:
    """One legend for all panels, below them: measured points first, then plain lines such as references."""
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    entries = sorted(found.items(), key=lambda entry: isinstance(entry[1], Line2D))
    if entries:
        labels, handles = zip(*entries, strict=True)
        inches = 0.6 + 0.08 * max(map(len, labels))
        columns = min(4, len(labels), int(canvas.get_figwidth() / inches) or 1)
        canvas.legend(handles, labels, loc="outside lower center", ncols=columns)


def plain_log_ticks(axis: Axis) -> None:
    """Numbers without mathematical markup, because `text.parse_math` is off to keep a record's `$` literal."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value, 1)))
    axis.set_minor_formatter(NullFormatter())


def svg(figure: Figure) -> str:
    """The figure as a whole SVG file: same data, same bytes."""
    with matplotlib.rc_context(SETTINGS | {"svg.hashsalt": figure.name}):
        canvas = Canvas(figsize=figure.size, layout="constrained")
        figure.draw(canvas)
        target = io.StringIO()
        canvas.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return escape.block(target.getvalue()) + "\n"


def inline(figure: Figure, drawing: str) -> str:
    """The SVG as an element of a page: ids made unique, ink and paper those of the page, its alt text said."""
    body = drawing[drawing.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>|\s*<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    prefix = re.sub(r"[^a-z0-9]+", "-", figure.name)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', body).replace("xlink:href", "href")
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    body = body.replace(INK, "currentColor").replace(PAPER, "none")
    view = re.search(r'viewBox="[\d. ]+"', body)
    assert view is not None
    width = f"{figure.size[0] * 90:.0f}px"
    opening = (
        f'<svg role="img" aria-label="{html.escape(escape.one_line(figure.alt))}" {view[0]} style="max-width:{width}">'
    )
    return opening + body[body.index(">") + 1 :].rstrip()
