"""The local executor: a few threads, each supervising one trial after another. No Ray."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence

from harness.launch import machine
from harness.launch.executor import Ended, Started, attempt
from harness.launch.options import Options, Sweep, Task
from harness.launch.stop import GO, Level


class Pool:
    """`slots` threads that take tasks in order."""

    def __init__(self, slots: int | None = None) -> None:
        self.slots = slots

    def execute(self, sweep: Sweep, tasks: Sequence[Task], stop: Level, on_start: Started, on_end: Ended) -> None:
        waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        telling = threading.Lock()

        def work(slot: int) -> None:
            shown = machine.gpu_of(slot, max(kind.gpus_per_trial for kind in sweep.kinds()))
            while stop() == GO:
                try:
                    task = waiting.get_nowait()
                except queue.Empty:
                    return
                # A task that names its GPUs itself has asked for none.
                task = {**task, "environment": {**shown, **task["environment"]}}
                with telling:
                    on_start(task["job"]["trial_id"])
                outcome = attempt(task, stop)
                with telling:
                    on_end(outcome)

        count = min(machine.slots(sweep, self.slots), max(1, len(tasks)))
        workers = [threading.Thread(target=work, args=(slot,), name=f"slot-{slot}") for slot in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


@contextlib.contextmanager
def opened(options: Options, sweeps: Sequence[Sweep]) -> Iterator[Pool]:
    """A pool for these options; nothing is started before it has work."""
    yield Pool(options.slots)
