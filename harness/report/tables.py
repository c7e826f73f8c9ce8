"""One table in four forms: plain cells for a page, CSV, LaTeX and Markdown."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pandas as pd

from harness.report import escape
from harness.report.section import Table, missing, text
from harness.report.statistics import Estimate


def shown(table: Table) -> list[list[str]]:
    """Every cell as the plain text that a reader sees."""
    formats = [table.formats.get(str(name), text) for name in table.data.columns]
    rows = table.data.itertuples(index=False, name=None)
    return [[show(_plain(value)) for show, value in zip(formats, row, strict=True)] for row in rows]


def numeric(table: Table) -> list[bool]:
    """For each column, whether its cells are numbers (None and nan aside)."""
    columns = (table.data.iloc[:, index] for index in range(table.data.shape[1]))
    return [
        any(not missing(_plain(value)) for value in column)
        and all(missing(_plain(value)) or _is_number(_plain(value)) for value in column)
        for column in columns
    ]


def sort_keys(table: Table) -> list[list[str]]:
    """What a cell sorts by: the number without its dress, or its text; missing values are empty."""
    return [[_key(_plain(value)) for value in row] for row in table.data.itertuples(index=False, name=None)]


def as_csv(table: Table) -> str:
    """Raw values; an Estimate column `x` becomes x, x_low, x_high and x_n."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    wide = [any(isinstance(value, Estimate) for value in table.data.iloc[:, i]) for i in range(table.data.shape[1])]
    header: list[str] = []
    for name, is_wide in zip(map(str, table.data.columns), wide, strict=True):
        header += [name, f"{name}_low", f"{name}_high", f"{name}_n"] if is_wide else [name]
    writer.writerow([escape.spreadsheet(name) for name in header])
    for row in table.data.itertuples(index=False, name=None):
        cells: list[Any] = []
        for value, is_wide in zip(map(_plain, row), wide, strict=True):
            if not is_wide:
                cells.append(_raw(value))
            elif isinstance(value, Estimate):
                cells += [_raw(value.value), _raw(value.low), _raw(value.high), value.n]
            else:
                cells += [_raw(value), "", "", ""]
        writer.writerow(cells)
    return target.getvalue()


def as_latex(table: Table) -> str:
    """A booktabs table, to be included with \\input."""
    names = [escape.latex(str(name)) for name in table.data.columns]
    alignment = "".join("r" if number else "l" for number in numeric(table))
    lines = [
        "% Needs \\usepackage{booktabs}, and \\usepackage[T1]{fontenc} outside XeTeX and LuaTeX.",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{escape.latex(table.caption)}}}",
        f"  \\label{{tab:{table.name}}}",
        f"  \\begin{{tabular}}{{{alignment}}}",
        "    \\toprule",
        f"    {' & '.join(names)} \\\\",
        "    \\midrule",
        *(f"    {' & '.join(escape.latex(cell) for cell in row)} \\\\" for row in shown(table)),
        "    \\bottomrule",
        "  \\end{tabular}",
        *(f"  \\par\\footnotesize {escape.latex(note)}" for note in table.notes),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def as_markdown(table: Table) -> str:
    """A table in the dialect of code hosts."""
    marks = ["---:" if number else ":---" for number in numeric(table)]
    rows = [[str(name) for name in table.data.columns], *shown(table)]
    lines = ["| " + " | ".join(escape.markdown(cell) or " " for cell in row) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join(marks) + " |")
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """NumPy scalars as Python's, and every form of absence as None."""
    if hasattr(value, "item"):
        value = value.item()
    return None if value is pd.NaT or value is pd.NA else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Estimate) and not isinstance(value, bool)


def _key(value: Any) -> str:
    if isinstance(value, Estimate):
        value = value.value
    if missing(value):
        return ""
    return repr(float(value)) if _is_number(value) else escape.one_line(str(value))


def _raw(value: Any) -> Any:
    """Floats at full precision, text made harmless."""
    if missing(value):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, Estimate):
        return "" if math.isnan(value.value) else repr(value.value)
    return value if isinstance(value, int) else escape.spreadsheet(str(value))
