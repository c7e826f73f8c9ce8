"""`harness trial`: one planned trial in this process, for debugging and for machines without Ray and MLflow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import DataRoot, Force, Only, Plugins, Results, Set, Smoke, load_plugins, plans
from harness.cli.running import FAILURES
from harness.cli.sweeps import fingerprints, known, sweep_of
from harness.errors import UsageError
from harness.records import FINISHED, Writer, scan

if TYPE_CHECKING:
    from harness.launch.options import Sweep, Task


def trial(
    file: Annotated[Path, typer.Argument(help="Ablation file (.toml).", show_default=False)],
    trial_id: Annotated[str, typer.Argument(help="Trial id or its beginning; default: the first planned.")] = "",
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    force: Force = False,
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    results: Results = Path("results"),
) -> None:
    """Run one planned trial in this process, without Ray or MLflow."""
    load_plugins(plugins)
    from harness.launch import lock
    from harness.launch.options import Options
    from harness.launch.queue import due

    [planned] = plans([file], settings, filters, smoke)
    sweep = known(sweep_of(planned, results, fingerprints(planned, data_root)))
    chosen = [job for job in sweep.jobs if job["trial_id"].startswith(trial_id)]
    if not trial_id:
        chosen = _first(sweep, chosen)
    if not chosen:
        raise UsageError(f"{file} plans no trial '{trial_id}'. See the ids with: harness plan {file} --json.")
    if len(chosen) > 1:
        raise UsageError(f"{len(chosen)} trials of {file} begin with '{trial_id}'. Give more digits.")
    sweep = replace(sweep, jobs=chosen)
    name = chosen[0]["trial_id"]
    with lock.driver(sweep.folder):
        todo = due(sweep, Options(force=force, retry_statuses=FAILURES))
        if not todo.tasks:
            print(f"{name}: {todo.skipped[name].status} already; --force runs it again")
            return
        status = _here(todo.tasks[0], data_root)
    print(f"{name}: {status}")
    raise typer.Exit({"done": 0, "unsupported": 0, "stopped": 0, "interrupted": 130}.get(status, 1))


def _first(sweep: Sweep, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first job of a plan; of a search the first that has not ended, since its first are soon behind it."""
    states = scan(sweep.folder) if sweep.folder.is_dir() else {}
    waiting = [job for job in jobs if job["trial_id"] not in states or states[job["trial_id"]].status not in FINISHED]
    searched = any("tune" in job["ablation"] for job in jobs)
    return (waiting or jobs)[:1] if searched else jobs[:1]


def _here(task: Task, data_root: Path | None) -> str:
    """Run the job in this process, on from where an earlier attempt was cut, and return its status."""
    from harness import trial
    from harness.launch import leavings
    from harness.launch.attempts import earlier

    folder, trial_id = Path(task["folder"]), task["job"]["trial_id"]
    if task["fresh"]:
        leavings.forget(folder, trial_id)
    before = earlier(folder, trial_id).history
    writer = Writer(folder, trial_id)
    try:
        status = trial.run(
            task["job"],
            writer.write,
            data_root=data_root,
            checkpoints=leavings.checkpoints(folder, trial_id),
            kept_rows=writer.rows,
            attempt=len(before) + 1,
            history=before,
        )
    finally:
        writer.close()
    leavings.clear(folder, trial_id, status)
    return status
