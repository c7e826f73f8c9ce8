"""The Ray Tune executor: Ray decides where and when, a thin actor supervises each trial.

Tune gets the explicit list of trials as one grid search and reuses its actors. Rows come back as Tune's results, and
the driver writes them, so that no disk is shared. The record is the durable state, so nothing of Tune's own is kept:
whatever ends a `fit`, the trials without an outcome are given to a new one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentProblem
from harness.launch import cluster, lock, machine
from harness.launch.actor import Actor
from harness.launch.desk import Desk, trial_id
from harness.launch.executor import Ended, Started
from harness.launch.options import Options, Outcome, Sweep, Task
from harness.launch.ray_processes import Processes
from harness.launch.ray_settings import RayError, tune
from harness.launch.stop import GO, Level

FRUITLESS_FITS = 3
CHUNK = 2000
"""Trials in one `fit`; a driver's work grows with their number."""
RECOVERIES = 2
"""Times that Tune itself begins a trial again whose actor was lost."""
_LONGEST_TEMP = 22
"""Characters; Ray's sockets lie 70 characters deeper, and a socket's path may have 107."""


class _Stopper(tune.Stopper):  # type: ignore[misc]
    """Ends the experiment once those trials have ended that ran when the stop was asked for, or when Ray has died."""

    def __init__(self, desk: Desk, processes: Processes) -> None:
        self.desk, self.processes = desk, processes
        self.last: set[str] | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if died := self.processes.dead():
            raise RuntimeError(died)
        if self.desk.stop() == GO:
            return False
        self.desk.pass_on()
        if self.last is None:
            self.last = set(self.desk.running)
        return not self.last & self.desk.running

    def __reduce__(self) -> tuple[Any, ...]:
        return (tune.stopper.NoopStopper, ())


class Fits:
    """`Tuner.fit`, again and again, until every task has an outcome."""

    def __init__(self, tuning: Path, options: Options, processes: Processes) -> None:
        self.tuning, self.options, self.processes = tuning, options, processes
        self.round = 0

    def execute(self, sweep: Sweep, tasks: Sequence[Task], stop: Level, on_start: Started, on_end: Ended) -> None:
        remaining = {task["job"]["trial_id"]: task for task in tasks}
        fruitless, problem = 0, ""
        while remaining and stop() == GO and fruitless < FRUITLESS_FITS:
            chunk = list(remaining.values())[:CHUNK]
            desk = Desk(chunk, self.options.storage, stop, on_start, on_end)
            try:
                self._fit(sweep, chunk, desk)
            except (RayError, RuntimeError, tune.TuneError) as caught:
                # Only its text is kept: the traceback would keep the actors of this fit, and their resources.
                problem = f"{type(caught).__name__}: {caught}"
            finally:
                died = self.processes.dead(every_s=0.0)
                desk.leave(problem, died)
            if died:
                raise EnvironmentProblem(f"Ray's {died} on this machine has died. The same command goes on.")
            remaining = {name: task for name, task in remaining.items() if name not in desk.ended}
            fruitless = 0 if desk.ended else fruitless + 1
        if stop() == GO:
            for name in remaining:
                on_end(Outcome(name, "interrupted", f"Ray gave it up {FRUITLESS_FITS} times: {problem}"))

    def _fit(self, sweep: Sweep, tasks: list[Task], desk: Desk) -> None:
        self.round += 1
        options = self.options
        # Travels with the trainable, so it must hold neither jobs nor listeners.
        light = dataclasses.replace(sweep, jobs=(), fingerprints={}, search=None, ids=set())
        whole = machine.cpus() if sweep.exclusive and not options.address else 0

        def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
            arm = light.of(config["task"]["job"])
            gpus = {"GPU": float(arm.gpus_per_trial)} if arm.gpus_per_trial else {}
            return tune.PlacementGroupFactory([{"CPU": float(whole or arm.cpus_per_trial), **gpus}])

        tune.Tuner(
            tune.with_resources(Actor, resources),
            param_space={"task": tune.grid_search(tasks), "driver": [socket.gethostname(), os.getpid()]},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                max_concurrent_trials=1 if sweep.exclusive else options.slots,
                trial_name_creator=trial_id,
                trial_dirname_creator=trial_id,
            ),
            run_config=tune.RunConfig(
                name=f"{sweep.name}-{self.round}",
                storage_path=str(self.tuning),
                verbose=0,
                stop=_Stopper(desk, self.processes),
                callbacks=[desk],
                failure_config=tune.FailureConfig(max_failures=RECOVERIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()


@contextlib.contextmanager
def opened(options: Options, sweeps: Sequence[Sweep]) -> Iterator[Fits]:
    """Ray, started on this machine and ended afterwards, or joined at `options.address`.

    Raises EnvironmentProblem when Ray does not start, or when no node can hold a trial, and UsageError when nodes
    that share no disk are given no storage.
    """
    parent = tempfile.gettempdir()
    with contextlib.ExitStack() as stack:
        temp = stack.enter_context(lock.scratch(Path(parent if len(parent) <= _LONGEST_TEMP else "/tmp")))
        cluster.connect(options, sweeps, temp)
        processes = Processes()
        stack.callback(processes.end)
        machine.refuse(sweeps, (node["Resources"] for node in cluster.nodes()))
        if options.address:
            cluster.check(options)
        yield Fits(temp / "tune", options, processes)
