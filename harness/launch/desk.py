"""Where the driver meets the actors of one `fit`: trials are handed out, rows come in, outcomes go to the sweep."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from harness.launch.executor import Ended, Started
from harness.launch.keep import Keeper
from harness.launch.options import Outcome, Task
from harness.launch.ray_settings import ray, tune
from harness.launch.stop import GO, KILL, Level
from harness.launch.supervise import INTERRUPTED

_MONITOR = "running low on memory"
"""What Ray says when its memory monitor has killed a worker."""


class Desk(tune.Callback):  # type: ignore[misc]
    """Tune's callback; all of it runs in the driver, between two events of Tune's loop."""

    def __init__(
        self, tasks: Sequence[Task], storage: str | None, stop: Level, on_start: Started, on_end: Ended
    ) -> None:
        node = ray.get_runtime_context().get_node_id()
        self.keepers = {task["job"]["trial_id"]: Keeper(task, storage, node) for task in tasks}
        self.stop, self.on_start, self.on_end = stop, on_start, on_end
        self.running: set[str] = set()
        self.ended: set[str] = set()
        self._actors: dict[str, Any] = {}
        self._where: dict[str, tuple[str, int, str]] = {}
        self._told: dict[str, int] = {}

    def pass_on(self) -> None:
        """Tell the supervisors of running trials the level of the stop."""
        level = self.stop()
        for name in self.running & self._actors.keys():
            if self._told.get(name, GO) < level:
                self._tell(name, level)

    def leave(self, problem: str, died: str) -> None:
        """After a `fit`: end what it has left behind. `problem` says how it came to its end, if it did not finish.

        `died` is what of Ray is dead, so that it can be told nothing more.
        """
        culprit = self._killed_by_the_monitor(problem)
        for name in list(self.running):
            if name == culprit:
                reason = "Ray's memory monitor ended it, because its machine ran low on memory"
                self.keepers[name].lose("out_of_memory", reason)
                self._end(Outcome(name, "out_of_memory", reason))
            else:
                reason = f"cut when Ray's {died} died" if died else "cut when Ray ended the other trials with it"
                self.keepers[name].lose(INTERRUPTED, reason)
            if not died:
                with contextlib.suppress(Exception):
                    ray.kill(self._actors[name])
        self._actors.clear()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.add(trial_id(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        name = trial_id(trial)
        # Popped, because Tune keeps each trial's last result.
        rows, log, actor = (result.pop(key, None) for key in ("rows", "log", "actor"))
        outcome = result.pop("outcome", None)
        if name in self.ended:
            return
        if actor is not None:
            self._actors[name], self._told[name] = actor, GO
            self._where[name] = (str(result["node_ip"]), int(result["pid"]), str(result["hostname"]))
            self._hand_out(name)
            return
        keeper = self.keepers[name]
        try:
            keeper.take(rows or b"", log or b"")
        except OSError as problem:
            self._give_up(name, f"the record could not be written: {problem}")
            return
        if outcome is not None:
            keeper.end(outcome["status"])
            self._end(Outcome(**outcome))
        elif result.get("done"):
            keeper.lose(INTERRUPTED, "stopped before it began")
            self._end(Outcome(name, INTERRUPTED, "stopped before it began"))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = trial_id(trial)
        self.keepers[name].lose(INTERRUPTED, self._loss(name))
        self.running.discard(name)
        self._actors.pop(name, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = trial_id(trial)
        if name not in self.ended:
            self.keepers[name].lose(INTERRUPTED, self._loss(name))
            self._end(Outcome(name, INTERRUPTED, self._loss(name)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune saves its callbacks with the experiment, which is never restored; the driver's listeners stay here.
        return (tune.Callback, ())

    def _hand_out(self, name: str) -> None:
        """Give the supervisor its trial; `give` arrives before the next step, which Tune asks for after this."""
        try:
            given: Any = None
            if self.stop() == GO:
                given = self.keepers[name].begin()
        except OSError as problem:
            self._give_up(name, f"the record could not be written: {problem}")
            return
        if given is None:
            self._give_up(name, "stopped before it began")
        elif isinstance(given, Outcome):
            self._tell(name, KILL)
            self._end(given)
        else:
            self.on_start(name)
            self._actors[name].give.remote(given)

    def _give_up(self, name: str, reason: str) -> None:
        self.keepers[name].close()
        self._tell(name, KILL)
        self._end(Outcome(name, INTERRUPTED, reason))

    def _tell(self, name: str, level: int) -> None:
        self._told[name] = level
        self._actors[name].ask.remote(level)

    def _end(self, outcome: Outcome) -> None:
        self.running.discard(outcome.trial_id)
        self._actors.pop(outcome.trial_id, None)
        self.ended.add(outcome.trial_id)
        self.on_end(outcome)

    def _loss(self, name: str) -> str:
        host = self._where[name][2] if name in self._where else "its machine"
        return f"its supervisor on {host} was lost"

    def _killed_by_the_monitor(self, problem: str) -> str | None:
        """The trial whose actor Ray's memory monitor names, by the process number and the address of its node."""
        if _MONITOR not in problem:
            return None
        pids = {int(pid) for pid in re.findall(r"pid[=:]\s*(\d+)", problem)}
        return next(
            (name for name in self.running if name in self._where and self._where[name][1] in pids
             and self._where[name][0] in problem),
            None,
        )  # fmt: skip


def trial_id(trial: Any) -> str:
    return str(trial.config["task"]["job"]["trial_id"])
