"""The Tune trainable: a thin actor that supervises trials, one after another, wherever Ray has put it.

A step lasts about two seconds and returns the rows of that time. Tune takes the next step once the driver has written
them, so that what is stored here is never more than a step ahead of the record. The actor never imports torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from harness.launch import leavings, lock, log
from harness.launch.attempts import Earlier
from harness.launch.options import Outcome
from harness.launch.ray_settings import ray, tune
from harness.launch.relay import Given, LogTail, Outbox
from harness.launch.stop import FROM_OUTSIDE, GO, alive
from harness.launch.store import Checkpoints, Store
from harness.launch.supervise import INTERRUPTED, Attempt

STEP_S = 2.0
STORE_TRIES = 3
"""Times that the last checkpoint of a trial that was cut is offered to a store that fails."""


class Actor(tune.Trainable):  # type: ignore[misc]
    """Says that it is there, is given a trial, and supervises it step by step."""

    given: Given | None
    charge: Charge | None
    level: int
    greeted: bool

    def setup(self, config: dict[str, Any]) -> None:
        for number in (signal.SIGINT, *FROM_OUTSIDE):
            # They are meant for the driver, which asks this actor in its turn. Ray blocks the first in all of its
            # processes, but the start of a fork server lets it through again.
            signal.signal(number, signal.SIG_IGN)
        self.closing = contextlib.ExitStack()
        self.scratch = self.closing.enter_context(lock.scratch(Path(tempfile.gettempdir())))
        threading.Thread(target=_end_with, args=config["driver"], daemon=True).start()
        self._begin_anew()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._let_go()
        self._begin_anew()
        return True

    def give(self, given: Given) -> None:
        """What the next step begins with. Called by the driver between two steps."""
        self.given = given

    def ask(self, level: int) -> None:
        """Called by the driver between two steps to have the trial stop."""
        self.level = level

    def step(self) -> dict[str, Any]:
        if not self.greeted:
            self.greeted = True
            return {"done": False, "actor": ray.get_runtime_context().current_actor}
        if self.charge is None:
            if self.given is None or self.level != GO:
                return {"done": True}
            trial_id = self.given["task"]["job"]["trial_id"]
            try:
                self.charge = Charge(self.given, self.scratch / trial_id)
            except OSError as problem:
                reason = f"its checkpoints in '{self.given['store']}' cannot be read: {problem}"
                return _last(Outcome(trial_id, INTERRUPTED, reason))
        return self.charge.step(self.level)

    def cleanup(self) -> None:
        self._let_go()
        self.closing.close()

    def _begin_anew(self) -> None:
        self.given = self.charge = None
        self.level, self.greeted = GO, False

    def _let_go(self) -> None:
        if self.charge is not None:
            self.charge.close()


class Charge:
    """One trial in an actor's care: its attempt, its checkpoints and its log. Raises OSError when the store does."""

    def __init__(self, given: Given, folder: Path) -> None:
        self.folder = folder
        task = given["task"].copy()
        task["folder"], task["plugins"] = str(folder), _unpacked(given, folder / "plugins")
        task["environment"] = {**task["environment"], "HARNESS_GIT": json.dumps(given["git"])}
        os.environ["HARNESS_GIT"] = task["environment"]["HARNESS_GIT"]
        if "CUDA_VISIBLE_DEVICES" in os.environ:
            # What Ray gives this actor; a task that says so itself has asked for none.
            task["environment"].setdefault("CUDA_VISIBLE_DEVICES", os.environ["CUDA_VISIBLE_DEVICES"])
        trial_id = task["job"]["trial_id"]
        if given["only_on"] and given["only_on"] != ray.get_runtime_context().get_node_id():
            raise OSError("only the driver's machine reaches it; give --storage")
        self.box = Outbox(given["kept"])
        self.checkpoints = Checkpoints(Store(given["store"]), given["place"], leavings.checkpoints(folder, trial_id))
        self.checkpoints.fetch(self.box.checkpoints)
        self.log = LogTail(log.file(folder, trial_id))
        self.attempt = Attempt(task, Earlier(tuple(given["history"])), self.box, given["kept_rows"])

    def step(self, level: int) -> dict[str, Any]:
        """Supervise for a while; the rows and the log since the last step, and the outcome once there is one."""
        until = time.monotonic() + STEP_S
        while self.attempt.outcome is None and time.monotonic() < until:
            self.attempt.turn(level)
        outcome = self.attempt.outcome
        sent = self._store(last=outcome is not None)
        printed = self.log.take() + sent
        if outcome is None:
            return {"done": False, "rows": self.box.take(), "log": printed}
        self.close()
        return {**_last(outcome), "rows": self.box.take(), "log": printed}

    def close(self) -> None:
        """End the attempt and remove what it left on this machine."""
        self.attempt.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _store(self, last: bool) -> bytes:
        """Store the newest checkpoint; what the log is to say when that fails. It is tried again with the next step."""
        if self.attempt.outcome is not None and self.attempt.outcome.status in leavings.OVER:
            return b""
        for left in reversed(range(STORE_TRIES if last else 1)):
            try:
                self.checkpoints.send(self.box.checkpoints)
            except OSError as problem:
                if not left:
                    return f"The checkpoint could not be stored: {problem}\n".encode()
                time.sleep(1.0)
            else:
                break
        return b""


def _last(outcome: Outcome) -> dict[str, Any]:
    return {"done": True, "outcome": dataclasses.asdict(outcome)}


def _unpacked(given: Given, folder: Path) -> list[str]:
    """The plugins as this machine has them: files that came along, written here, and modules by name."""
    names = []
    for plugin in given["task"]["plugins"]:
        if plugin in given["plugins"]:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / Path(plugin).name
            path.write_text(given["plugins"][plugin], encoding="utf-8")
            names.append(str(path))
        else:
            names.append(plugin)
    return names


def _end_with(host: str, pid: int) -> None:
    """End this process, and with it its child, soon after a driver on the same machine that was killed.

    Ray does so by itself, but late; its successor may already want the memory.
    """
    while host != socket.gethostname() or alive(pid):
        time.sleep(1.0)
    os._exit(1)
