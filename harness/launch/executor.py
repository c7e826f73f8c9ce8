"""What every executor does: run a list of tasks and tell when each began and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from harness.launch.options import Options, Outcome, Sweep, Task
from harness.launch.stop import Level
from harness.launch.supervise import INTERRUPTED, supervise

Started = Callable[[str], None]
Ended = Callable[[Outcome], None]


class Executor(Protocol):
    """One way to run tasks. `execute` returns when every task has ended, or soon after a stop."""

    def execute(self, sweep: Sweep, tasks: Sequence[Task], stop: Level, on_start: Started, on_end: Ended) -> None: ...


Opened = Callable[[Options, Sequence[Sweep]], AbstractContextManager[Executor]]


def attempt(task: Task, stop: Level) -> Outcome:
    """`supervise`, whose own failure costs one trial and not the sweep."""
    try:
        return supervise(task, stop)
    except OSError as problem:
        return Outcome(task["job"]["trial_id"], INTERRUPTED, f"the record could not be written: {problem}")
    except Exception as problem:
        return Outcome(task["job"]["trial_id"], INTERRUPTED, f"its supervisor failed: {problem!r}")
