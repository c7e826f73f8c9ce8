"""`harness trial`: one planned trial in this process, for debugging and for machines without Ray and MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import DataRoot, Force, Only, Plugins, Results, Set, Smoke, load_plugins, plans
from harness.errors import UsageError
from harness.records import FINISHED, Writer, scan


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
    [planned] = plans([file], settings, filters, smoke)
    jobs = [job for job in planned.jobs() if job["trial_id"].startswith(trial_id)]
    if not jobs:
        raise UsageError(f"{file} plans no trial '{trial_id}'. See the ids with: harness plan {file} --json.")
    known = scan(results / planned.ablation.name).get(jobs[0]["trial_id"])
    if known is not None and known.status in FINISHED and not force:
        print(f"{known.trial_id}: {known.status} already; --force runs it again")
        return
    status = _here(jobs[0], results, data_root)
    print(f"{jobs[0]['trial_id']}: {status}")
    raise typer.Exit(0 if status == "done" else 1)


def _here(job: dict[str, Any], results: Path, data_root: Path | None) -> str:
    """Run the job in this process, on from where an earlier attempt was cut, and return its status."""
    from harness import trial
    from harness.launch.attempts import earlier

    folder = results / job["ablation"]["name"]
    before = earlier(folder, job["trial_id"]).history
    writer = Writer(folder, job["trial_id"])
    try:
        return trial.run(
            job,
            writer.write,
            data_root=data_root,
            checkpoints=folder / "checkpoints" / job["trial_id"],
            kept_rows=writer.rows,
            attempt=len(before) + 1,
            history=before,
        )
    finally:
        writer.close()
