"""The report as one self-contained HTML page: style, script and figures inside, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.report import escape, style, tables
from harness.report.section import LABELS, Figure, Section

TEMPLATES = Path(__file__).parent / "templates"


def page(title: str, sections: list[Section], drawings: Mapping[str, str], dates: str) -> str:
    """The whole page; `drawings` holds the SVG of each figure by name."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def drawing(figure: Figure) -> Markup:
        # Markup, because matplotlib has escaped every text in it and `inline` the alternative text.
        return Markup(style.inline(figure, drawings[figure.name]))

    environment.filters |= {"one_line": escape.one_line, "block": escape.block}
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        title=title,
        sections=sections,
        dates=dates,
        drawing=drawing,
        tables=tables,
        labels=LABELS,
        css=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
