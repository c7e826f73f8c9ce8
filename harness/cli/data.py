"""`harness data`: which data sets are there, whether their files are right, and making ready what trials will read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import DataRoot, Plugins, Set, load_plugins, plans

if TYPE_CHECKING:
    from harness.tasks.inventory import Row
    from harness.tasks.prepare import Prepared

app = typer.Typer(help="Look at the data sets, and prepare them.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def listing(data_root: DataRoot = None) -> None:
    """List every task's files: there or missing, and where to get them."""
    from harness.tasks.inventory import inventory

    _show(inventory(data_root))


@app.command("prepare")
def prepare(
    names: Annotated[list[str], typer.Argument(help="Tasks, or ablation files (.toml).", show_default=False)],
    settings: Set = [],  # noqa: B006
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    fetch: Annotated[bool, typer.Option(help="Download what is missing and has a public address.")] = True,
) -> None:
    """Fetch, generate and code the data of tasks, or of every trial of a file, so that trials only read it.

    Works without internet from files that are there. Exit code 3 when something is missing that cannot be fetched.
    """
    from harness import registry
    from harness.tasks import TASKS
    from harness.tasks import prepare as preparation

    load_plugins(plugins)
    for name, choice in _choices(names, settings):
        task = registry.build("task", TASKS, choice)
        with _bars():
            made = preparation.prepare(task, data_root, fetch=fetch)
        _tell(name, made)


@app.command("verify")
def verify(data_root: DataRoot = None) -> None:
    """Check the files that are there: format, shapes, label counts. Exit code 3 when one is wrong."""
    from harness.tasks.inventory import verify

    with _bars():
        rows = verify(data_root)
    _show(rows)
    if any(row.present and not row.ok for row in rows):
        raise typer.Exit(3)


def _choices(names: Sequence[str], settings: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each distinct task once, with its name; the settings are keys of a file, or parameters of a task."""
    from harness.ablation import assignment
    from harness.choices import AXES, resolved

    known: set[str] = set()
    for name in names:
        if name.endswith(".toml"):
            trials = plans([Path(name)], settings, [], smoke=False)[0].trials
            found = [trial.choices["task"] for trial in trials if "task" in trial.choices]
        else:
            given = {".".join(path).removeprefix("task."): value for path, value in map(assignment, settings)}
            found = [resolved("task", AXES["train"]["task"], {"name": name, **given})]
        for choice in found:
            key = json.dumps(choice, sort_keys=True)
            if key not in known:
                known.add(key)
                yield choice["name"], choice


@contextmanager
def _bars() -> Iterator[None]:
    """A progress bar for each long step, on standard error, gone when it is over."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from harness.tasks.progress import listening

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def listen(what: str, done: int, total: int | None) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)

        with listening(listen):
            yield


def _tell(name: str, made: Prepared) -> None:
    for path in made.fetched:
        print(f"{name:<12} fetched {path}")
    if made.mended:
        print(f"{name:<12} made again what was damaged: {', '.join(made.mended)}")
    where = f"{made.entry} ({made.size / 1e6:,.1f} MB, checksums match)" if made.entry else "drawn while training"
    labels = f" [{'; '.join(made.provenance.labels)}]" if made.provenance.labels else ""
    print(f"{name:<12} ready   fingerprint {made.provenance.fingerprint}, {made.provenance.source}{labels}: {where}")


def _show(rows: Sequence[Row]) -> None:
    for row in rows:
        mark = "missing" if not row.present else {True: "ok", False: "WRONG", None: "there"}[row.ok]
        print(f"{row.task:<12} {row.file:<28} {mark:<8} {row.note}")
