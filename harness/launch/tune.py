"""The Ray Tune executor: Ray decides where and when, a thin actor supervises each trial.

Tune gets the explicit list of trials as one grid search and reuses its actors, which never import torch. The record
is the durable state, so nothing of Tune's own is kept: whatever ends a `fit`, the trials without an outcome are
given to a new one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SETTINGS = {
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
}
"""Ray's memory monitor would end the whole experiment for one trial; ours ends the trial. Read at Ray's import."""
os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.exceptions import RayError  # noqa: E402

from harness.errors import EnvironmentProblem  # noqa: E402
from harness.launch import lock, machine  # noqa: E402
from harness.launch.executor import Ended, Started, attempt  # noqa: E402
from harness.launch.options import Options, Outcome, Sweep, Task  # noqa: E402
from harness.launch.stop import GO, KILL, Level, alive, level_in, stop_file  # noqa: E402

OBJECT_STORE_BYTES = 100_000_000
FRUITLESS_FITS = 3
CHUNK = 2000
"""Trials in one `fit`; Tune rewrites its whole state as it goes, so a driver's work grows with their number."""
_LONGEST_TEMP = 22
"""Characters; Ray's sockets lie 70 characters deeper, and a socket's path may have 107."""


class Actor(tune.Trainable):  # type: ignore[misc]
    """Supervises one trial per step. Its config is {"task": Task, "stop_file": path, "driver": [host, pid]}."""

    def setup(self, config: dict[str, Any]) -> None:
        self.given = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.given = new_config
        return True

    def step(self) -> dict[str, Any]:
        task: Task = self.given["task"]
        host, pid = self.given["driver"]
        stop_file = Path(self.given["stop_file"])
        if "CUDA_VISIBLE_DEVICES" in os.environ:
            # What Ray gives this actor; a task that says so itself has asked for none.
            task["environment"].setdefault("CUDA_VISIBLE_DEVICES", os.environ["CUDA_VISIBLE_DEVICES"])

        def level() -> int:
            # A driver that was killed cannot ask; its successor waits until this trial is let go.
            orphan = host == socket.gethostname() and not alive(pid)
            return KILL if orphan else level_in(stop_file)

        return {"done": True, "outcome": dataclasses.asdict(attempt(task, level))}


class _Watch(tune.Callback):  # type: ignore[misc]
    """Hands outcomes to the driver, and knows which trials run."""

    def __init__(self, on_start: Started, on_end: Ended) -> None:
        self.on_start, self.on_end = on_start, on_end
        self.running: set[str] = set()
        self.ended: set[str] = set()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.add(_id(trial))
        self.on_start(_id(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.running.discard(_id(trial))
        if "outcome" in result:
            self.ended.add(_id(trial))
            self.on_end(Outcome(**result["outcome"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.discard(_id(trial))

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune saves its callbacks with the experiment, which is never restored; the driver's listeners stay here.
        return (tune.Callback, ())


class _Stopper(tune.Stopper):  # type: ignore[misc]
    """Ends the experiment once those trials have ended that ran when the stop was asked for."""

    def __init__(self, stop: Level, watch: _Watch) -> None:
        self.stop, self.watch = stop, watch
        self.last: set[str] | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self.stop() == GO:
            return False
        if self.last is None:
            self.last = set(self.watch.running)
        return not self.last & self.watch.running

    def __reduce__(self) -> tuple[Any, ...]:
        return (tune.stopper.NoopStopper, ())


class Fits:
    """`Tuner.fit`, again and again, until every task has an outcome."""

    def __init__(self, storage: Path, options: Options) -> None:
        self.storage, self.options = storage, options
        self.round = 0

    def execute(self, sweep: Sweep, tasks: Sequence[Task], stop: Level, on_start: Started, on_end: Ended) -> None:
        remaining = {task["job"]["trial_id"]: task for task in tasks}
        fruitless, problem = 0, None
        while remaining and stop() == GO and fruitless < FRUITLESS_FITS:
            watch = _Watch(on_start, on_end)
            try:
                self._fit(sweep, list(remaining.values())[:CHUNK], stop, watch)
            except (RayError, RuntimeError, tune.TuneError) as caught:
                problem = caught
            remaining = {name: task for name, task in remaining.items() if name not in watch.ended}
            fruitless = 0 if watch.ended else fruitless + 1
        if stop() == GO:
            for trial_id in remaining:
                on_end(Outcome(trial_id, "interrupted", f"Ray gave it up {FRUITLESS_FITS} times: {problem!r}"))

    def _fit(self, sweep: Sweep, tasks: list[Task], stop: Level, watch: _Watch) -> None:
        self.round += 1
        exclusive = sweep.exclusive
        resources = {"CPU": float(machine.cpus() if exclusive and not self.options.address else sweep.cpus_per_trial)}
        if sweep.gpus_per_trial:
            resources["GPU"] = float(sweep.gpus_per_trial)
        shared = {"stop_file": str(stop_file(sweep.folder)), "driver": [socket.gethostname(), os.getpid()]}
        tune.Tuner(
            tune.with_resources(Actor, tune.PlacementGroupFactory([resources])),
            param_space={"task": tune.grid_search(tasks), **shared},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                max_concurrent_trials=1 if exclusive else self.options.slots,
                trial_name_creator=_id,
                trial_dirname_creator=_id,
            ),
            run_config=tune.RunConfig(
                name=f"{sweep.name}-{self.round}",
                storage_path=str(self.storage),
                verbose=0,
                stop=_Stopper(stop, watch),
                callbacks=[watch],
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()


@contextlib.contextmanager
def opened(options: Options, sweeps: Sequence[Sweep]) -> Iterator[Fits]:
    """Ray, started on this machine and ended afterwards, or joined at `options.address`.

    Raises EnvironmentProblem when Ray does not start, or when no node can hold a trial.
    """
    parent = tempfile.gettempdir()
    with lock.scratch(Path(parent if len(parent) <= _LONGEST_TEMP else "/tmp")) as temp:
        try:
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **_where(options, sweeps, temp))
            except (RayError, RuntimeError, ConnectionError, ValueError, OSError) as problem:
                where = f"at {options.address}" if options.address else "on this machine"
                raise EnvironmentProblem(
                    f"Ray does not start {where}: {problem}. `--executor local` runs the same trials without Ray."
                ) from problem
            machine.refuse(sweeps, (node["Resources"] for node in ray.nodes() if node["Alive"]))
            yield Fits(temp / "tune", options)
        finally:
            ray.shutdown()


def _where(options: Options, sweeps: Sequence[Sweep], temp: Path) -> Mapping[str, Any]:
    if options.address:
        return {"address": options.address}
    # A machine counts as larger than it is when the user wants more slots than it has processors.
    wanted = (options.slots or 0) * max((sweep.cpus_per_trial for sweep in sweeps), default=1)
    return {
        "address": "local",
        "num_cpus": int(max(machine.cpus(), wanted)),
        "num_gpus": len(machine.gpus()),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(temp),
    }


def _id(trial: Any) -> str:
    return str(trial.config["task"]["job"]["trial_id"])
