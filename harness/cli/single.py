"""`harness trial`: one planned trial in this process, for debugging and for machines without Ray and MLflow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import DataRoot, Force, Only, Plugins, Results, Set, Smoke, load_plugins, plans
from harness.cli.running import FAILURES
from harness.cli.sweeps import fingerprints, sweep_of
from harness.errors import UsageError
from harness.records import Writer

if TYPE_CHECKING:
    from harness.launch.options import Task


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
    chosen = [one for one in planned.trials if one.trial_id.startswith(trial_id)][: None if trial_id else 1]
    if not chosen:
        raise UsageError(f"{file} plans no trial '{trial_id}'. See the ids with: harness plan {file} --json.")
    if len(chosen) > 1:
        raise UsageError(f"{len(chosen)} trials of {file} begin with '{trial_id}'. Give more digits.")
    sweep = sweep_of(replace(planned, trials=tuple(chosen)), results, fingerprints(planned, data_root))
    name = chosen[0].trial_id
    with lock.driver(sweep.folder):
        todo = due(sweep, Options(force=force, retry_statuses=FAILURES))
        if not todo.tasks:
            print(f"{name}: {todo.skipped[name].status} already; --force runs it again")
            return
        status = _here(todo.tasks[0], data_root)
    print(f"{name}: {status}")
    raise typer.Exit({"done": 0, "unsupported": 0, "stopped": 0, "interrupted": 130}.get(status, 1))


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
