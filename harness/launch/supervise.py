"""One trial, watched: a child process runs it, and what it sends goes into its record.

Whatever becomes of the child (a segfault, a hang, a memory hog, a kill) is one end row and never the end of
the sweep.
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import Protocol

from harness import environment, records
from harness.launch import leavings, lock
from harness.launch.attempts import FAILED, Earlier, earlier
from harness.launch.options import Outcome, Task
from harness.launch.process import Child, kernel_kills
from harness.launch.stop import GO, KILL, Level
from harness.launch.stopping import Watch

TICK_S = 0.5
INTERRUPTED = "interrupted"


class Sink(Protocol):
    """Where the rows of an attempt go: its record, or the way to it."""

    rows: int
    """How many the record holds by now."""

    def write(self, row: records.Row) -> None: ...

    def held(self) -> list[records.Row]: ...


def supervise(task: Task, stop: Level) -> Outcome:
    """Run one attempt to its end and return how it ended. Waits for a supervisor that still holds the trial.

    A trial that another driver has finished meanwhile is not run again.
    """
    folder, trial_id = Path(task["folder"]), task["job"]["trial_id"]
    with lock.trial(folder, trial_id, give_up=stop) as held:
        if not held or stop() != GO:
            return not_begun(trial_id, earlier(folder, trial_id))
        if (known := finished(task)) is not None:
            return known
        before = earlier(folder, trial_id)
        with contextlib.closing(records.Writer(folder, trial_id)) as writer:
            with contextlib.closing(Attempt(task, before, writer, opened(writer, before))) as attempt:
                while attempt.outcome is None:
                    attempt.turn(stop())
            leavings.clear(folder, trial_id, attempt.outcome.status)
            return attempt.outcome


def opened(writer: records.Writer, before: Earlier) -> int:
    """Begin another attempt in a record; returns how many rows the attempt may keep.

    Until the child writes its own attempt row, after the rows it keeps, one that holds the history stands here.
    """
    rows = writer.rows
    if before.history:
        row = {"row": "attempt", "attempt": before.next, "resumed_step": None, "history": list(before.history)}
        writer.write({**row, "time": time.time()})
    elif rows:
        writer.write({"row": records.RESUME, "rows": 0})
        return 0
    return rows


def finished(task: Task) -> Outcome | None:
    """How the trial has ended already; one that is to be made anew is forgotten first."""
    folder, trial_id = Path(task["folder"]), task["job"]["trial_id"]
    whole = folder / f"{trial_id}.jsonl"
    if task["fresh"] and whole.exists():
        leavings.forget(folder, trial_id)
    known = records.state(whole) if whole.exists() else None
    if known is None or known.status not in records.FINISHED:
        return None
    return Outcome(trial_id, known.status, known.reason, known.attempts)


def not_begun(trial_id: str, before: Earlier) -> Outcome:
    """The outcome of a trial that was stopped before its attempt began."""
    return Outcome(trial_id, INTERRUPTED, "stopped before it began", failures=before.failures)


class Attempt:
    """One child and the rows that it adds to the record: `turn` until there is an `outcome`, then `close`."""

    def __init__(self, task: Task, before: Earlier, sink: Sink, kept_rows: int) -> None:
        self.task, self.before, self.sink, self.kept_rows = task, before, sink, kept_rows
        self.trial_id: str = task["job"]["trial_id"]
        self.child: Child | None = None
        self.end: records.Row | None = None
        self.outcome: Outcome | None = None
        self.early = Watch(task["job"].get("stopping"))
        self._began = time.monotonic()
        self._asked: float | None = None
        self._next_ask = 0.0
        self._kills = kernel_kills()

    def turn(self, level: int) -> None:
        """Start the child, or wait a moment for what it sends and see to it that it ends when it must."""
        try:
            if self.child is None:
                self._begin()
            elif (verdict := self._look(self.child, level)) is not None:
                self.child.close(seconds=0.0)
                self._conclude(*verdict, self.child.peak_memory_bytes)
        except OSError as problem:
            self._ended(INTERRUPTED, f"the record could not be written: {problem}")
        if self.end is not None:
            self._ended(self.end["status"], self.end.get("reason", ""))

    def close(self) -> None:
        """Let the child go, and kill what is left of it."""
        child, self.child = self.child, None
        if child is not None:
            child.close(seconds=5.0 if self.end else 0.0)

    def _begin(self) -> None:
        try:
            self.child = Child(self.task, self.before.next, self.kept_rows, list(self.before.history))
        except (OSError, EOFError) as problem:
            self._ended(INTERRUPTED, f"the trial's process could not be started: {problem!r}")

    def _look(self, child: Child, level: int) -> tuple[str, str] | None:
        """Take the rows that have come; the status and the reason with which the child is given up, if it is."""
        task = self.task
        child.wait(TICK_S)
        code = child.exit_code
        for row in child.rows():
            self._take(row)
            if self.early.verdict:
                # What the child has sent since is not kept: how much that is depends on who is faster.
                return self.early.verdict
        if self.end is not None:
            return None
        if code is not None:
            return _exit(code, self._asked is not None, kernel_kills() > self._kills)
        now = time.monotonic()
        if level == KILL:
            return INTERRUPTED, "killed by a second request to stop"
        if level != GO and now >= self._next_ask:
            # Asked again each second: a child that has only just been forked does not listen yet.
            self._asked, self._next_ask = self._asked or now, now + 1.0
            child.ask_to_stop()
        if self._asked is not None and now - self._asked > task["grace_s"]:
            return INTERRUPTED, f"did not stop within {task['grace_s']:g} s of being asked"
        if task["timeout_s"] is not None and now - self._began > task["timeout_s"]:
            child.kill(dump=True)
            return "timeout", f"ran longer than {task['timeout_s']:g} s; its stack is in {_log(child)}"
        if now - child.last_beat > task["hang_s"]:
            child.kill(dump=True)
            return "timeout", f"gave no sign of life for {task['hang_s']:g} s; its stack is in {_log(child)}"
        if now - child.last_work > task["silent_s"]:
            child.kill(dump=True)
            return "timeout", f"gave no row and no step for {task['silent_s']:g} s; its stack is in {_log(child)}"
        used = child.memory_bytes()
        if task["memory_bytes"] is not None and used > task["memory_bytes"]:
            return "out_of_memory", f"used {used / 2**30:.2f} GiB of {task['memory_bytes'] / 2**30:.2f} GiB allowed"
        return None

    def _take(self, row: records.Row) -> None:
        if self.end is None:
            if self.sink.rows == 0 and row["row"] not in ("header", records.RESUME):
                self.sink.write(self._header())
            self.sink.write(row)
            self.end = row if row["row"] == "end" else None
            if row["row"] != records.RESUME:
                self.early.see(row)
            elif self.early.given:
                self.early.restart(self.sink.held())

    def _conclude(self, status: str, reason: str, peak: int | None) -> None:
        """Write the end row that the child could not."""
        end = {"row": "end", "status": status, "reason": reason, "seconds": time.monotonic() - self._began}
        end["peak_memory_bytes"] = peak
        step = {} if self.early.step is None else {"step": self.early.step}
        self._take({**end, **step, "attempt": self.before.next, "time": time.time()})

    def _header(self) -> records.Row:
        """A header for a child that ended before it wrote its own; the data and the device are unknown here."""
        job = self.task["job"]
        return {
            "row": "header",
            "schema": records.SCHEMA,
            "trial_id": self.trial_id,
            "created": time.time(),
            "harness": environment.versions().get("hippo-harness", ""),
            "spec": job["spec"],
            "ablation": job.get("ablation", {}),
            "data": {"fingerprint": "", "kind": "", "source": "", "labels": []},
            "backend": None,
            "application": None,
            "git": environment.git(),
            "versions": environment.versions(),
            "device": {},
            "plugins": self.task["plugins"],
        }

    def _ended(self, status: str, reason: str) -> None:
        self.outcome = Outcome(
            self.trial_id,
            status,
            reason,
            self.before.next,
            self.before.failures + (status in FAILED),
            time.monotonic() - self._began,
            raised=bool(self.end and self.end.get("traceback")),
        )


def _exit(code: int, asked: bool, kernel_killed: bool) -> tuple[str, str]:
    """Status and reason of a child that ended without an end row."""
    name = signal.Signals(-code).name if code < 0 else ""
    if asked and name in ("SIGTERM", "SIGUSR1"):
        return INTERRUPTED, "stopped before it listened"
    if name == "SIGKILL" and kernel_killed:
        return "out_of_memory", "killed by the kernel, which had run out of memory"
    if name:
        return "error", f"killed by {name}"
    return "error", f"ended with exit code {code} and no end row"


def _log(child: Child) -> str:
    return f"{child.log.parent.name}/{child.log.name}"
