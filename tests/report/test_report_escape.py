"""Hostile text is harmless in every form of the report."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree

import matplotlib.figure
import pandas as pd
import pytest

from harness.report import escape, style, tables
from harness.report.section import Figure, Table, stem
from harness.report.statistics import Estimate

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b ||",
    "[x](javascript:alert(1))",
    "![x](http://example.com/x.png)",
    "$\\input{/etc/passwd}$ \\write18{ls} {} ^_~#&%",
    "line\nbreak\r\n\n# heading",
    "```\nfence",
    "\u202eright to left\x00\x1b[31m",
    "&lt;b&gt; &amp;",
    '" onload="alert(1)',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_leaves_no_markup(text: str) -> None:
    shown = escape.markdown(text)
    assert not re.search(r"(?<!\\)[`*_\[\]|~$]|(?<![\\&])#|[<>\n\r\x00-\x1f\u202e]|javascript:|http:", shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_still_says_the_same(text: str) -> None:
    shown = escape.markdown(text).replace("&lt;", "<").replace("&gt;", ">").replace("&#58;", ":").replace("&#46;", ".")
    assert re.sub(r"\\(.)", r"\1", shown.replace("&amp;", "&")) == escape.one_line(text)


@pytest.mark.parametrize("text", ["- item", "+ item", "= heading", "1. item", "2) item"])
def test_markdown_starts_no_list_or_heading(text: str) -> None:
    assert re.match(r"\\|\d+\\", escape.markdown(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_fence_is_closed_by_nothing_inside_it(text: str) -> None:
    opening, *body, closing = escape.fence(text).split("\n")
    assert opening.startswith(closing)
    assert not any(line.strip().startswith(closing) for line in body)


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_runs_no_command_of_the_text(text: str) -> None:
    allowed = (
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textasciigrave|textquotedbl)\{\}"
    )
    rest = re.sub(allowed + r"|\\[{}$&#_%]|\{\[\}|\{\]\}|\$\\?[a-z-]+\$", "", escape.latex(text))
    assert not re.search(r"[\\{}$&#_%~^\n]", rest)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)"])
def test_a_spreadsheet_sees_text_and_no_formula(text: str) -> None:
    table = Table("t", "c", pd.DataFrame({"x": [text]}))
    assert next(iter(csv.reader(io.StringIO(tables.as_csv(table).splitlines()[1]))))[0] == "'" + text


@pytest.mark.parametrize("name", ["../../etc/passwd", "/root", "..", "a/b\\c", "", "x\n"])
def test_a_file_name_stays_in_its_folder(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", stem(name))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_figure_takes_hostile_labels_as_text(text: str) -> None:
    def draw(canvas: matplotlib.figure.Figure) -> None:
        canvas.add_subplot().set_title(text)

    drawn = style.inline(figure := Figure("f", "c", text, draw), style.svg(figure))
    opened = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawn).iter()}
    assert opened <= {"svg", "defs", "g", "path", "use", "text", "clipPath", "rect"}
    assert ElementTree.fromstring(drawn).get("aria-label") == escape.one_line(text)


def test_csv_spreads_an_estimate_and_latex_prints_it() -> None:
    frame = pd.DataFrame({"basis": ["legs"], "rmse": [Estimate(0.5, 0.4, 0.6, 3)]})
    from harness.report.section import number

    table = Table("t", "c", frame, {"rmse": number(2)})
    assert tables.as_csv(table) == "basis,rmse,rmse_low,rmse_high,rmse_n\nlegs,0.5,0.4,0.6,3\n"
    assert "    legs & 0.50 $\\pm$ 0.10 \\\\" in tables.as_latex(table).splitlines()
