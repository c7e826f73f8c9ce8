"""`harness run`, `harness trial`, `harness retry`: the same plan under Ray, in a plain pool, or in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import (
    DataRoot,
    Files,
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
from harness.errors import UsageError
from harness.records import STATUSES

if TYPE_CHECKING:
    from harness.launch.options import Sweep
    from harness.plan import Plan


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
Log = Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Mirror the records to MLflow.")]


def run(
    files: Files,
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    executor: Executor = Executor.ray,
    address: Address = None,
    slots: Slots = None,
    shard: Shard = None,
    deadline: Deadline = None,
    force: Annotated[bool, typer.Option("--force", help="Run finished trials again.")] = False,
    mlflow: Log = True,
    tracking_uri: TrackingUri = None,
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    results: Results = Path("results"),
) -> None:
    """Run every trial that is not finished. The same command again goes on where it stopped."""
    loaded = load_plugins(plugins) and list(plugins)
    expanded = plans(files, settings, filters, smoke)
    _go(
        expanded, executor, address, slots, shard, deadline, force, [], mlflow, tracking_uri, loaded, data_root, results
    )


def retry(
    files: Files,
    status: Annotated[list[str], typer.Option("--status", help="Statuses to try again; default: every failure.")] = [],  # noqa: B006
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    executor: Executor = Executor.ray,
    slots: Slots = None,
    mlflow: Log = True,
    tracking_uri: TrackingUri = None,
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    results: Results = Path("results"),
) -> None:
    """Try failed trials again, also those whose attempts are used up."""
    unknown = next((name for name in status if name not in STATUSES), None)
    if unknown is not None:
        raise UsageError(f"--status {unknown}: there is no such status. Choose one of: {', '.join(STATUSES)}.")
    loaded = load_plugins(plugins) and list(plugins)
    again = status or ["error", "timeout", "out_of_memory", "interrupted"]
    expanded = plans(files, settings, filters, smoke=False)
    _go(expanded, executor, None, slots, None, None, False, again, mlflow, tracking_uri, loaded, data_root, results)


def trial(
    file: Annotated[Path, typer.Argument(help="Ablation file (.toml).", show_default=False)],
    trial_id: Annotated[
        str | None, typer.Argument(help="Trial id or its beginning; default: the first planned.")
    ] = None,
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    results: Results = Path("results"),
) -> None:
    """Run one planned trial in this process, without Ray or MLflow."""
    load_plugins(plugins)
    [planned] = plans([file], settings, filters, smoke)
    jobs = [job for job in planned.jobs() if job["trial_id"].startswith(trial_id or "")]
    if not jobs:
        raise UsageError(f"{file} plans no trial '{trial_id}'. See the ids with: harness plan {file} --json.")
    status = _here(jobs[0], results, data_root)
    print(f"{jobs[0]['trial_id']}: {status}")
    raise typer.Exit(0 if status == "done" else 1)


def _here(job: dict[str, Any], results: Path, data_root: Path | None) -> str:
    from harness import trial
    from harness.records import Writer, state

    folder = results / job["ablation"]["name"]
    earlier = folder / f"{job['trial_id']}.jsonl"
    before = state(earlier) if earlier.exists() else None
    writer = Writer(folder, job["trial_id"])
    history = [{"status": before.status, "reason": before.reason}] if before else []
    try:
        return trial.run(
            job,
            writer.write,
            data_root=data_root,
            checkpoints=folder / "checkpoints" / job["trial_id"],
            kept_rows=writer.rows,
            attempt=(before.attempts if before else 0) + 1,
            history=history,
        )
    finally:
        writer.close()


def _go(
    expanded: Sequence[Plan],
    executor: Executor,
    address: str | None,
    slots: int | None,
    shard: str | None,
    deadline: str | None,
    force: bool,
    again: list[str],
    mlflow: bool,
    tracking_uri: str | None,
    plugins: list[str],
    data_root: Path | None,
    results: Path,
) -> None:
    """Prepare the store, then hand the sweeps to the driver; ends with its exit code."""
    from harness.launch import sweep
    from harness.launch.options import Options

    sweeps = [_sweep(planned, data_root, results) for planned in expanded]
    mirror = None
    if mlflow:
        from harness.track.mirror import Mirror
        from harness.track.store import resolve

        mirror = Mirror([one.folder for one in sweeps], resolve(tracking_uri, results))
    options = Options(
        executor=executor.value,
        address=address,
        slots=slots,
        data_root=data_root.resolve() if data_root else None,
        plugins=tuple(plugins),
        deadline_s=seconds(deadline) if deadline else None,
        shard=_shard(shard),
        force=force,
        retry_statuses=tuple(again),
        mirror=mirror,
    )
    raise typer.Exit(sweep.run(sweeps, options))


def _sweep(planned: Plan, data_root: Path | None, results: Path) -> Sweep:
    from harness.launch.options import Sweep

    ablation = planned.ablation
    folder = results / ablation.name
    jobs = list(planned.jobs())
    prints = _fingerprints(jobs, data_root)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".plan.json").write_text(json.dumps([job["trial_id"] for job in jobs]))
    resources = ablation.resources
    return Sweep(
        name=ablation.name,
        folder=folder,
        jobs=jobs,
        cpus_per_trial=resources.cpus_per_trial,
        gpus_per_trial=resources.gpus_per_trial,
        timeout_s=None if resources.timeout_minutes is None else resources.timeout_minutes * 60,
        memory_bytes=None if resources.memory_gib is None else int(resources.memory_gib * 2**30),
        max_attempts=resources.max_attempts,
        fingerprints=prints,
        exclusive=ablation.kind == "throughput",
    )


def _fingerprints(jobs: Sequence[dict[str, Any]], data_root: Path | None) -> dict[str, str]:
    """Today's data fingerprint of every trial that has a task; each distinct task is asked once.

    Raises EnvironmentProblem when data is missing, before anything starts.
    """
    from harness import registry
    from harness.tasks import TASKS

    known: dict[str, str] = {}
    found = {}
    for job in jobs:
        if "task" not in job["spec"]:
            continue
        key = json.dumps(job["spec"]["task"], sort_keys=True)
        if key not in known:
            task = registry.build("task", TASKS, job["spec"]["task"])
            known[key] = task.provenance(data_root).fingerprint
        found[job["trial_id"]] = known[key]
    return found


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    part, slash, whole = text.partition("/")
    if not (slash and part.isdigit() and whole.isdigit() and 1 <= int(part) <= int(whole)):
        raise UsageError(f"--shard {text}: write it as I/N with 1 <= I <= N, for example --shard 1/4.")
    return int(part), int(whole)
