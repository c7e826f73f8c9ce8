"""The report as one Markdown file, figures beside it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report import escape, tables
from harness.report.section import LABELS, Part, Section


def page(title: str, sections: list[Section]) -> str:
    """The whole file."""
    blocks = [f"# {escape.markdown(title)}"]
    for section in sections:
        blocks.append(f"## {escape.markdown(section.title)}")
        blocks += _sentences(section.sentences)
        for part in section.parts:
            blocks += _part(part)
    return "\n\n".join(blocks) + "\n"


def _part(part: Part) -> Iterator[str]:
    if part.title:
        yield f"### {escape.markdown(part.title)}"
    for label, quoted in part.quotes:
        yield f"> **{escape.markdown(label)}.** {escape.markdown(quoted)}"
    if part.headline:
        yield f"**{escape.markdown(part.headline)}**"
    yield from _sentences(part.sentences)
    for table in part.tables:
        files = f"[CSV](tables/{table.name}.csv), [LaTeX](tables/{table.name}.tex)"
        yield f"**Table.** {escape.markdown(table.caption)} ({files})"
        yield tables.as_markdown(table)
        yield from _points(table.notes)
    if part.labels:
        yield LABELS
        yield from _points(part.labels)
    for figure in part.figures:
        yield f"![{escape.markdown(figure.alt)}](figures/{figure.name}.svg)"
        yield f"**Figure.** {escape.markdown(figure.caption)}"
    for caption, text in part.code:
        yield f"{escape.markdown(caption)}:"
        yield escape.fence(text)


def _sentences(sentences: tuple[str, ...]) -> list[str]:
    return [" ".join(escape.markdown(one) for one in sentences)] if sentences else []


def _points(points: tuple[str, ...]) -> list[str]:
    return ["\n".join(f"- {escape.markdown(one)}" for one in points)] if points else []
