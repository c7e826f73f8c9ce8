"""`harness report`: the Markdown and HTML report of one or several ablations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Names, Plugins, Roots, folders, load_plugins


def report(
    names: Names,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to; default: reports/NAME.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="Heading of the report.")] = None,
    plugins: Plugins = [],  # noqa: B006
    results: Roots = [Path("results")],  # noqa: B006
) -> None:
    """Write report.md, report.html, figures and tables from the records alone."""
    load_plugins(plugins)
    from harness.report.build import report as build

    chosen = folders(names, *results)
    written = build(chosen, out or Path("reports") / chosen[0].name, title)
    print(f"report: {written.resolve()}")
