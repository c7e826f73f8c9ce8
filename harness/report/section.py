"""What a section is: data that a renderer turns into HTML, Markdown, CSV and LaTeX."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure as Canvas

from harness.report.statistics import Estimate

if TYPE_CHECKING:
    from harness.report.evidence import Evidence

Format = Callable[[Any], str]
"""From a cell to plain text; escaping is the renderer's."""
EMPTY = "–"
LABELS = "Read it with these labels:"


@dataclass(frozen=True)
class Table:
    """A table. `name` becomes its file's stem; a cell may be an `Estimate`, which CSV spreads over four columns."""

    name: str
    caption: str
    data: pd.DataFrame
    formats: Mapping[str, Format] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", stem(self.name))


@dataclass(frozen=True)
class Figure:
    """A figure. `name` becomes its file's stem; `draw` paints a canvas of `size` inches; `alt` says what it shows."""

    name: str
    caption: str
    alt: str
    draw: Callable[[Canvas], None]
    size: tuple[float, float] = (7.0, 3.6)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", stem(self.name))


@dataclass(frozen=True)
class Part:
    """A block under its own heading, printed in the order of the fields."""

    title: str = ""
    quotes: tuple[tuple[str, str], ...] = ()
    """(label, text) pairs quoted from the ablation file."""
    headline: str = ""
    """The one sentence that a hurried reader needs."""
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    labels: tuple[str, ...] = ()
    """What the reader must be told beside all this."""
    figures: tuple[Figure, ...] = ()
    code: tuple[tuple[str, str], ...] = ()
    """(caption, text) of listings."""


@dataclass(frozen=True)
class Section:
    """A chapter of the report."""

    title: str
    sentences: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


class SectionBuilder(ABC):
    """A registered section. Subclasses are frozen dataclasses."""

    version: ClassVar[int] = 1

    @abstractmethod
    def applies(self, evidence: Evidence) -> bool:
        """Whether the evidence has anything to say here."""

    @abstractmethod
    def build(self, evidence: Evidence) -> Section:
        """The section; called only where it applies."""


def stem(name: str) -> str:
    """A file name that stays in its folder, whatever the name of the ablation it comes from."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "unnamed"


def missing(value: Any) -> bool:
    """None and nan print as an en dash."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def text(value: Any) -> str:
    return EMPTY if missing(value) else str(value)


def number(digits: int) -> Format:
    """A float with so many decimals, or an Estimate as `58.1 ± 0.7`; one value alone says that it has no interval."""

    def show(value: Any) -> str:
        if isinstance(value, Estimate):
            if missing(value.value):
                return EMPTY
            if not value.has_interval:
                return f"{value.value:.{digits}f} (one seed)"
            return f"{value.value:.{digits}f} ± {value.half_width:.{digits}f}"
        return EMPTY if missing(value) else f"{value:.{digits}f}"

    return show


def significant(digits: int) -> Format:
    """A float with so many significant digits, without exponent between 0.001 and a million."""

    def show(value: Any) -> str:
        return EMPTY if missing(value) else plain(value, digits)

    return show


def ranged(digits: int) -> Format:
    """An Estimate as `2.31 [2.20, 2.44]`."""

    def show(value: Any) -> str:
        if not isinstance(value, Estimate) or missing(value.value):
            return EMPTY
        centre = plain(value.value, digits)
        return f"{centre} [{plain(value.low, digits)}, {plain(value.high, digits)}]" if value.has_interval else centre

    return show


def plain(value: float, digits: int = 3) -> str:
    """A number with so many significant digits: 0.0123, 12.3, 1,230, 1.23e-06."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else EMPTY
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, decimals):,.{max(0, decimals)}f}"
