"""One trial, watched: a child process runs it, this process owns its record.

Whatever becomes of the child (a segfault, a hang, a memory hog, a kill) is one end row and never the end of
the sweep.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from harness import environment, records
from harness.launch import leavings, lock
from harness.launch.attempts import FAILED, Earlier, earlier
from harness.launch.options import Outcome, Task
from harness.launch.process import Child, kernel_kills
from harness.launch.stop import GO, KILL, Level
from harness.launch.stopping import Watch

TICK_S = 0.2
INTERRUPTED = "interrupted"


def supervise(task: Task, stop: Level) -> Outcome:
    """Run one attempt to its end and return how it ended. Waits for a supervisor that still holds the trial.

    A trial that another driver has finished meanwhile is not run again.
    """
    folder, trial_id = Path(task["folder"]), task["job"]["trial_id"]
    with lock.trial(folder, trial_id, give_up=stop) as held:
        if not held or stop() != GO:
            return Outcome(
                trial_id, INTERRUPTED, "stopped before it began", failures=earlier(folder, trial_id).failures
            )
        finished = folder / f"{trial_id}.jsonl"
        if task["fresh"] and finished.exists():
            leavings.forget(folder, trial_id)
        known = records.state(finished) if finished.exists() else None
        if known is not None and known.status in records.FINISHED:
            return Outcome(trial_id, known.status, known.reason, known.attempts)
        return _Attempt(task, earlier(folder, trial_id)).run(stop)


class _Attempt:
    """One child and the rows that it adds to the record."""

    def __init__(self, task: Task, before: Earlier) -> None:
        self.task = task
        self.before = before
        self.number = len(before.history) + 1
        self.trial_id: str = task["job"]["trial_id"]
        self.end: records.Row | None = None
        self.early = Watch(task["job"].get("stopping"))

    def run(self, stop: Level) -> Outcome:
        began = time.monotonic()
        self.writer = records.Writer(Path(self.task["folder"]), self.trial_id)
        kept_rows = self.writer.rows
        child = None
        try:
            if self.before.history:
                # Until the child writes its own attempt row, after the rows it keeps, this one holds the history.
                self.writer.write(self._attempt_row())
            elif kept_rows:
                kept_rows = 0
                self.writer.write({"row": records.RESUME, "rows": 0})
            try:
                child = Child(self.task, self.number, kept_rows, list(self.before.history))
            except (OSError, EOFError) as problem:
                return self._outcome(INTERRUPTED, f"the trial's process could not be started: {problem!r}", 0.0)
            verdict = self._watch(child, stop, began)
            if verdict is not None:
                child.close(seconds=0.0)
                self._conclude(*verdict, time.monotonic() - began, child.peak_memory_bytes)
        except OSError as problem:
            return self._outcome(INTERRUPTED, f"the record could not be written: {problem}", time.monotonic() - began)
        finally:
            if child is not None:
                child.close(seconds=5.0 if self.end else 0.0)
            self.writer.close()
        assert self.end is not None
        leavings.clear(Path(self.task["folder"]), self.trial_id, self.end["status"])
        return self._outcome(self.end["status"], self.end.get("reason", ""), time.monotonic() - began)

    def _watch(self, child: Child, stop: Level, began: float) -> tuple[str, str] | None:
        """Write rows until the end row came (None), or say with which status and reason the child is given up."""
        asked: float | None = None
        next_ask = 0.0
        kills = kernel_kills()
        task = self.task
        while True:
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
                return _exit(code, asked is not None, kernel_kills() > kills)
            now, level = time.monotonic(), stop()
            if level == KILL:
                return INTERRUPTED, "killed by a second request to stop"
            if level != GO and now >= next_ask:
                # Asked again each second: a child that has only just been forked does not listen yet.
                asked, next_ask = asked or now, now + 1.0
                child.ask_to_stop()
            if asked is not None and now - asked > task["grace_s"]:
                return INTERRUPTED, f"did not stop within {task['grace_s']:g} s of being asked"
            if task["timeout_s"] is not None and now - began > task["timeout_s"]:
                child.kill(dump=True)
                return "timeout", f"ran longer than {task['timeout_s']:g} s; its stack is in {_log(child)}"
            if now - child.last_beat > task["hang_s"]:
                child.kill(dump=True)
                return "timeout", f"gave no sign of life for {task['hang_s']:g} s; its stack is in {_log(child)}"
            used = child.memory_bytes()
            if task["memory_bytes"] is not None and used > task["memory_bytes"]:
                return "out_of_memory", f"used {used / 2**30:.2f} GiB of {task['memory_bytes'] / 2**30:.2f} GiB allowed"

    def _take(self, row: records.Row) -> None:
        if self.end is None:
            if self.writer.rows == 0 and row["row"] not in ("header", records.RESUME):
                self.writer.write(self._header())
            self.writer.write(row)
            self.end = row if row["row"] == "end" else None
            if row["row"] != records.RESUME:
                self.early.see(row)
            elif self.early.given:
                self.early.restart([records.decode(line) for line in records.lines(self.writer.partial)])

    def _conclude(self, status: str, reason: str, seconds: float, peak: int | None) -> None:
        """Write the end row that the child could not."""
        end = {"row": "end", "status": status, "reason": reason, "seconds": seconds, "peak_memory_bytes": peak}
        step = {} if self.early.step is None else {"step": self.early.step}
        self._take({**end, **step, "attempt": self.number, "time": time.time()})

    def _attempt_row(self) -> records.Row:
        return {
            "row": "attempt",
            "attempt": self.number,
            "resumed_step": None,
            "history": list(self.before.history),
            "time": time.time(),
        }

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

    def _outcome(self, status: str, reason: str, seconds: float) -> Outcome:
        return Outcome(
            self.trial_id,
            status,
            reason,
            self.number,
            self.before.failures + (status in FAILED),
            seconds,
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
