"""From records to a report: evidence, sections, then Markdown, HTML, figures and tables."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.errors import UsageError
from harness.registry import lookup
from harness.report import SECTIONS, markdown, page, published, style, tables
from harness.report.evidence import Evidence
from harness.report.gather import studies
from harness.report.section import Section


def report(results: Iterable[Path], out: Path, title: str | None = None) -> Path:
    """Write report.html, report.md, figures/ and tables/ into `out`; returns the path of the page.

    `results` are results folders of ablations, or their parents. The same records give the same bytes. Raises
    UsageError when there is no record.
    """
    paths = [Path(path) for path in results]
    evidence = Evidence(studies(paths), published.lra(paths))
    names = ", ".join(study.name for study in evidence.studies)
    return write(sections(evidence), out, title or f"Ablation report: {names}", dates(evidence))


def sections(evidence: Evidence) -> list[Section]:
    """The sections that the evidence speaks to, in the order of the table."""
    built = []
    for name in SECTIONS:
        builder = lookup("report section", SECTIONS, name)()
        if builder.applies(evidence):
            built.append(builder.build(evidence))
    return built


def dates(evidence: Evidence) -> str:
    """The day of the first and of the last record, because the day of the report would change its bytes."""
    days = sorted(
        datetime.datetime.fromtimestamp(float(trial.header["created"]), datetime.UTC).date().isoformat()
        for trial in evidence.every_trial
    )
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def write(content: list[Section], out: Path, title: str, when: str) -> Path:
    """Render the sections into `out`, whose figures and tables of an earlier report are replaced."""
    parts = [part for section in content for part in section.parts]
    figures = {figure.name: figure for part in parts for figure in part.figures}
    listed = {table.name: table for part in parts for table in part.tables}
    if len(figures) < sum(len(part.figures) for part in parts) or len(listed) < sum(len(part.tables) for part in parts):
        raise UsageError("Two tables or figures of the report have the same name. Rename one of the ablations.")
    for folder in ("figures", "tables"):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir(parents=True)
    drawings = {name: style.svg(figure) for name, figure in figures.items()}
    for name, drawing in drawings.items():
        (out / "figures" / f"{name}.svg").write_text(drawing, encoding="utf-8")
    for name, table in listed.items():
        (out / "tables" / f"{name}.csv").write_text(tables.as_csv(table), encoding="utf-8")
        (out / "tables" / f"{name}.tex").write_text(tables.as_latex(table), encoding="utf-8")
    pages = {"report.md": markdown.page(title, content), "report.html": page.page(title, content, drawings, when)}
    for name, text in pages.items():
        # A link that somebody left there would be written through.
        (out / name).unlink(missing_ok=True)
        (out / name).write_text(text, encoding="utf-8")
    return out / "report.html"
