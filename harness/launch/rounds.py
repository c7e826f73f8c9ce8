"""Rounds of trials: again those that were cut, and of a search, whatever its records allow next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.launch.attempts import FAILED, earlier
from harness.launch.executor import Executor
from harness.launch.options import Options, Outcome, Sweep, Task
from harness.launch.progress import Progress, label
from harness.launch.queue import due
from harness.launch.stop import GO, Stop

if TYPE_CHECKING:
    from harness.launch.search import Searching

CUTS = 2
"""Times that a trial is begun again within a run after its supervisor was lost."""


def rounds(
    executor: Executor,
    sweep: Sweep,
    tasks: Iterable[Task],
    stop: Stop,
    progress: Progress,
    outcomes: dict[str, Outcome],
) -> None:
    """Run the tasks; then again those that were cut or killed, while they have attempts left.

    A trial whose own code raised is left for the next command: the same code would raise again.
    """
    waiting = {task["job"]["trial_id"]: task for task in tasks}
    cuts: Counter[str] = Counter()

    def on_end(outcome: Outcome) -> None:
        outcomes[outcome.trial_id] = outcome
        cuts[outcome.trial_id] += outcome.status == "interrupted"
        progress.ended(outcome)

    while waiting and stop.level() == GO:
        executor.execute(sweep, list(waiting.values()), stop.level, progress.started, on_end)
        again = [
            trial_id
            for trial_id in waiting
            if (ended := outcomes.get(trial_id)) is not None
            and (
                (ended.status == "interrupted" and cuts[trial_id] <= CUTS)
                or (
                    ended.status in FAILED
                    and not ended.raised
                    and not earlier(sweep.folder, trial_id).used_up(sweep.max_attempts)
                )
            )
        ]
        waiting = {trial_id: {**waiting[trial_id], "fresh": False} for trial_id in again}
        if waiting and stop.level() == GO:
            progress.more(len(waiting))


def stages(
    executor: Executor,
    search: Searching,
    options: Options,
    stop: Stop,
    progress: Progress,
    outcomes: dict[str, Outcome],
) -> None:
    """Round after round of a search: what its records allow for every arm, until nothing is left that can be run.

    A trial whose own code raised is tried again at once, while it has attempts left: its arm waits for it.
    """
    if options.force:
        search.restart()
    plain = replace(options, force=False)
    tries: Counter[str] = Counter()
    lost: set[str] = set()
    while stop.level() == GO:
        sweep = search.sweep()
        search.mirror()
        lost |= {trial_id for trial_id, count in tries.items() if count >= sweep.max_attempts}
        tasks = [task for task in due(sweep, plain).tasks if task["job"]["trial_id"] not in lost]
        if not tasks:
            return
        progress.suggested(labels(tasks))
        tries.update(task["job"]["trial_id"] for task in tasks)
        rounds(executor, sweep, tasks, stop, progress, outcomes)
        ended = {task["job"]["trial_id"]: outcomes.get(task["job"]["trial_id"]) for task in tasks}
        lost |= {trial_id for trial_id, one in ended.items() if one is None or one.status == "interrupted"}


def labels(tasks: Iterable[Task]) -> dict[str, str]:
    """Trial id to what a person reads."""
    return {task["job"]["trial_id"]: label(task["job"]) for task in tasks}
