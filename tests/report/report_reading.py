"""A section of a report on records, and its words, for the tests."""

from __future__ import annotations

from pathlib import Path

from harness.registry import lookup
from harness.report import SECTIONS
from harness.report.evidence import Evidence
from harness.report.gather import studies
from harness.report.section import Part, Section


def evidence(results: Path) -> Evidence:
    return Evidence(studies(results))


def section(results: Path, name: str) -> Section:
    return lookup("report section", SECTIONS, name)().build(evidence(results))


def only(found: Section) -> Part:
    (part,) = found.parts
    return part


def spoken(part: Part) -> str:
    return " ".join([part.headline, *part.sentences, *part.labels])
