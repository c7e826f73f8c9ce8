"""`harness data`: which data sets are there, and whether their files are what they should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from harness.cli.options import DataRoot

if TYPE_CHECKING:
    from harness.tasks.inventory import Row

app = typer.Typer(help="Look at the data sets.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def listing(data_root: DataRoot = None) -> None:
    """List every task's files: there or missing, and where to get them."""
    from harness.tasks.inventory import inventory

    _show(inventory(data_root))


@app.command("verify")
def verify(data_root: DataRoot = None) -> None:
    """Check the files that are there: format, shapes, label counts. Exit code 3 when one is wrong."""
    from harness.tasks.inventory import verify

    rows = verify(data_root)
    _show(rows)
    if any(row.present and not row.ok for row in rows):
        raise typer.Exit(3)


def _show(rows: Sequence[Row]) -> None:
    for row in rows:
        mark = "missing" if not row.present else {True: "ok", False: "WRONG", None: "there"}[row.ok]
        print(f"{row.task:<12} {row.file:<28} {mark:<8} {row.note}")
