"""`harness ui`, `harness push`, `harness pull`: MLflow, where people look and where a cluster's results meet."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Names, Results, TrackingUri, folders
from harness.errors import UsageError


def ui(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
    tracking_uri: TrackingUri = None,
    results: Results = Path("results"),
) -> None:
    """Open the MLflow UI on the right store, on this machine only."""
    from harness.track import store, ui

    raise typer.Exit(ui.serve(store.resolve(tracking_uri, results), port))


def push(names: Names, tracking_uri: TrackingUri = None, results: Results = Path("results")) -> None:
    """Deliver the records of ablations to MLflow; what is there already is left alone."""
    from harness.launch import lock
    from harness.track import exchange, store

    uri = store.resolve(tracking_uri, results)
    for folder in folders(names, results):
        # A driver ships what it runs; a second shipper would make second runs.
        with lock.driver(folder):
            print(f"{folder.name}: {exchange.push(folder, uri)}")


def pull(
    experiments: Annotated[list[str], typer.Argument(help="MLflow experiments.", show_default=False)],
    tracking_uri: TrackingUri = None,
    results: Results = Path("results"),
) -> None:
    """Rebuild the records of ablations from MLflow."""
    from harness.launch import lock
    from harness.track import exchange, store

    uri = store.resolve(tracking_uri, results)
    file = store.database_file(uri)
    if file is not None and not file.exists():
        raise UsageError(f"There is no MLflow store at '{file}'. Name the one to pull from with --tracking-uri.")
    here = {folder.name: folder for folder in results.glob("*") if folder.is_dir()}
    for experiment in experiments:
        with lock.driver(here[experiment]) if experiment in here else nullcontext():
            print(f"{experiment}: {exchange.pull(uri, experiment, results)}")
