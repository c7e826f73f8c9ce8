"""`harness run` and `harness retry`: a plan under Ray Tune or in a plain pool."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.fitting import too_large
from harness.cli.options import (
    DataRoot,
    Files,
    Force,
    Only,
    Plugins,
    Results,
    Set,
    Smoke,
    TrackingUri,
    load_plugins,
    plans,
    seconds,
)
from harness.cli.status import remember
from harness.cli.sweeps import fingerprints, known, sweep_of
from harness.errors import UsageError, unknown
from harness.records import STATUSES, scan

if TYPE_CHECKING:
    from harness.launch.options import Options, Sweep

FAILURES = ("error", "timeout", "out_of_memory", "interrupted")


class Executor(StrEnum):
    """Who decides where and when a trial runs."""

    ray = "ray"
    local = "local"


Shard = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Run the I-th of N parts (1 <= I <= N), for job arrays.")
]
Deadline = Annotated[
    str | None,
    typer.Option("--deadline", metavar="150m", help="Stop cleanly after this time; the same command goes on."),
]
Slots = Annotated[int | None, typer.Option("--slots", min=1, help="Trials at once; default: what the machine holds.")]
Address = Annotated[str | None, typer.Option("--address", help="A running Ray cluster: auto or HOST:PORT.")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage", metavar="FOLDER_OR_URI", help="Where checkpoints go that all machines of a cluster reach."
    ),
]
Log = Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Mirror the records to MLflow.")]


def run(
    files: Files,
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    executor: Executor = Executor.ray,
    address: Address = None,
    storage: Storage = None,
    slots: Slots = None,
    shard: Shard = None,
    deadline: Deadline = None,
    force: Force = False,
    mlflow: Log = True,
    tracking_uri: TrackingUri = None,
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    results: Results = Path("results"),
) -> None:
    """Run every trial that is not finished. The same command again goes on where it stopped."""
    load_plugins(plugins)
    from harness.launch.options import Options

    options = Options(
        executor=executor.value,
        address=address,
        storage=_storage(storage, executor),
        slots=slots,
        deadline_s=seconds(deadline) if deadline else None,
        shard=_shard(shard),
        force=force,
    )
    expanded = plans(files, settings, filters, smoke)
    if not filters:
        for planned in expanded:
            remember(results / planned.ablation.name, planned)
    sweeps = [sweep_of(planned, results, fingerprints(planned, data_root)) for planned in expanded]
    for planned, sweep in zip(expanded, sweeps, strict=True):
        for sentence in too_large(planned, sweep, here=address is None):
            print(f"warning: {sentence}", file=sys.stderr)
    _drive(sweeps, options, results, data_root, plugins, tracking_uri, mlflow)


def retry(
    files: Files,
    status: Annotated[list[str], typer.Option("--status", help="Statuses to try again; default: every failure.")] = [],  # noqa: B006
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    executor: Executor = Executor.ray,
    address: Address = None,
    storage: Storage = None,
    slots: Slots = None,
    deadline: Deadline = None,
    mlflow: Log = True,
    tracking_uri: TrackingUri = None,
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    results: Results = Path("results"),
) -> None:
    """Try failed trials again, also those whose attempts are used up, and no others."""
    load_plugins(plugins)
    from harness.launch.options import Options

    for name in status:
        if name not in STATUSES:
            raise unknown("status", name, STATUSES)
    again = tuple(status) or FAILURES
    sweeps = [
        _ended(sweep_of(planned, results, fingerprints(planned, data_root)), again)
        for planned in plans(files, settings, filters, smoke)
    ]
    sweeps = [sweep for sweep in sweeps if sweep.jobs]
    if not sweeps:
        print(f"nothing to retry: no trial ended {' or '.join(again)}")
        return
    options = Options(
        executor=executor.value,
        address=address,
        storage=_storage(storage, executor),
        slots=slots,
        deadline_s=seconds(deadline) if deadline else None,
        retry_statuses=again,
    )
    _drive(sweeps, options, results, data_root, plugins, tracking_uri, mlflow)


def _ended(sweep: Sweep, statuses: Sequence[str]) -> Sweep:
    """The trials of the sweep whose record has one of the statuses; a search goes no further than them."""
    chosen = {trial_id for trial_id, state in scan(sweep.folder).items() if state.status in statuses}
    jobs = known(sweep).jobs if chosen else ()
    return replace(sweep, jobs=[job for job in jobs if job["trial_id"] in chosen], search=None)


def _drive(
    sweeps: Sequence[Sweep],
    options: Options,
    results: Path,
    data_root: Path | None,
    plugins: Sequence[str],
    tracking_uri: str | None,
    mlflow: bool,
) -> None:
    """Hand the sweeps to the driver, mirrored to MLflow where asked; ends with the driver's exit code."""
    from harness.launch import sweep

    mirror = None
    if mlflow:
        from harness.launch.queue import mine
        from harness.track.mirror import Mirror
        from harness.track.store import resolve

        only = (
            {one.folder: one.ids if one.search else {job["trial_id"] for job in mine(one, options)} for one in sweeps}
            if options.shard
            else None
        )
        mirror = Mirror([one.folder for one in sweeps], resolve(tracking_uri, results), only=only)
    absolute = tuple(str(Path(one).resolve()) if one.endswith(".py") else one for one in plugins)
    root = data_root.resolve() if data_root else None
    code = sweep.run(sweeps, replace(options, plugins=absolute, data_root=root, mirror=mirror))
    if mirror is not None and (message := mirror.message()):
        print(message, file=sys.stderr)
    raise typer.Exit(code)


def _storage(text: str | None, executor: Executor) -> str | None:
    if text is None:
        return None
    if executor is Executor.local:
        raise UsageError("--storage is for Ray; --executor local keeps checkpoints beside the records. Leave one out.")
    from harness.launch.store import checked

    return checked(text)


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    part, slash, whole = text.partition("/")
    if not (slash and part.isdigit() and whole.isdigit() and 1 <= int(part) <= int(whole)):
        raise UsageError(f"--shard {text}: write it as I/N with 1 <= I <= N, for example --shard 1/4.")
    return int(part), int(whole)
