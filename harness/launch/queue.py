"""Which trials of a sweep are due: those that no record has finished, with today's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness import records
from harness.launch import machine
from harness.launch.attempts import FAILED, earlier
from harness.launch.options import Options, Sweep, Task


@dataclass(frozen=True)
class Due:
    """The tasks to run, and the state of every trial that is left alone."""

    tasks: tuple[Task, ...]
    skipped: dict[str, records.State]
    used_up: dict[str, records.State]
    """Failed trials whose attempts are used up."""


def due(sweep: Sweep, options: Options) -> Due:
    """Compare the plan with the records of the folder, which are read by their first and last lines."""
    states = records.scan(sweep.folder) if sweep.folder.is_dir() else {}
    tasks, skipped, used_up = [], {}, {}
    folder = str(sweep.folder.resolve())
    for job in mine(sweep, options):
        trial_id = job["trial_id"]
        state = states.get(trial_id)
        today = sweep.fingerprints.get(trial_id, "")
        changed = state is not None and bool(today and state.fingerprint and state.fingerprint != today)
        again = state is not None and state.status in options.retry_statuses
        if state is None or changed or options.force or again:
            anew = options.force or changed or (again and state is not None and state.status in records.FINISHED)
            tasks.append(_task(sweep, options, job, folder, fresh=anew))
        elif state.status in records.FINISHED:
            skipped[trial_id] = state
        elif state.status in FAILED and earlier(sweep.folder, trial_id).used_up(sweep.max_attempts):
            used_up[trial_id] = state
        else:
            tasks.append(_task(sweep, options, job, folder, fresh=False))
    return Due(tuple(tasks), skipped, used_up)


def mine(sweep: Sweep, options: Options) -> list[dict[str, Any]]:
    """The jobs of this shard: every n-th of the plan, so that the shards cover it once. A search deals out arms."""
    if sweep.search is not None:
        return list(sweep.jobs)
    part, whole = options.shard or (1, 1)
    return list(sweep.jobs[part - 1 :: whole])


def _task(sweep: Sweep, options: Options, job: dict[str, Any], folder: str, fresh: bool) -> Task:
    arm = sweep.of(job)
    return {
        "job": job,
        "folder": folder,
        "fresh": fresh,
        "timeout_s": arm.timeout_s,
        "silent_s": arm.silent_s,
        "memory_bytes": arm.memory_bytes,
        "hang_s": options.hang_s,
        "grace_s": options.grace_s,
        "threads": machine.threads(arm),
        "data_root": str(options.data_root.resolve()) if options.data_root else None,
        "plugins": list(options.plugins),
        "runner": options.runner,
        "path": list(options.path),
        "environment": machine.hidden_gpus(arm),
    }
