"""The driver's end of a trial that runs elsewhere: its record on the driver's disk, and what it is given to begin."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from harness import environment, records
from harness.launch import leavings, lock, log
from harness.launch.attempts import earlier
from harness.launch.options import Outcome, Task
from harness.launch.relay import Given
from harness.launch.store import Store
from harness.launch.supervise import INTERRUPTED, finished, opened


class Keeper:
    """Writes the record of one trial while a supervisor sends its rows. `begin`, `take`, then `end` or `lose`."""

    def __init__(self, task: Task, storage: str | None, node: str) -> None:
        """`storage` is where checkpoints go, by default the sweep's own folder, which only `node` can reach."""
        self.task = task
        self.folder, self.trial_id = Path(task["folder"]), task["job"]["trial_id"]
        checkpoints = leavings.checkpoints(self.folder, self.trial_id)
        self.store, self.only_on = storage or str(self.folder), "" if storage else node
        root = self.folder.parent if storage else self.folder
        self.place = checkpoints.relative_to(root).as_posix()
        self.log = log.file(self.folder, self.trial_id)
        self._held = contextlib.ExitStack()
        self._writer: records.Writer | None = None

    def begin(self) -> Given | Outcome:
        """What the supervisor needs, or the outcome of a trial that is not to be run. Raises OSError."""
        if not self._held.enter_context(lock.trial(self.folder, self.trial_id, give_up=lambda: True)):
            return Outcome(self.trial_id, INTERRUPTED, "another driver runs it")
        if (known := finished(self.task)) is not None:
            return known
        before = earlier(self.folder, self.trial_id)
        self._writer = records.Writer(self.folder, self.trial_id)
        self._held.callback(self._writer.close)
        kept_rows = opened(self._writer, before)
        return {
            "task": self.task,
            "history": list(before.history),
            "kept": b"".join(records.resumable(self.folder, self.trial_id)),
            "kept_rows": kept_rows,
            "plugins": {path: Path(path).read_text(encoding="utf-8") for path in self.task["plugins"] if _file(path)},
            "store": self.store,
            "place": self.place,
            "only_on": self.only_on,
            "git": environment.git(),
        }

    def take(self, rows: bytes, printed: bytes) -> None:
        """Write what has come. Raises OSError when the disk will not have it."""
        if self._writer is not None:
            for line in rows.splitlines():
                self._writer.write(records.decode(line))
        if printed:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as file:
                file.write(printed)

    def lose(self, status: str, reason: str) -> None:
        """End the record of a trial whose supervisor is gone, where it has begun; what is lost resumes from there."""
        if self._writer is not None and self._writer.rows and self._writer.partial.exists():
            held = self._writer.held()
            attempt = max((int(row.get("attempt", 1)) for row in held), default=1)
            end = {"row": "end", "status": status, "reason": reason, "seconds": time.time() - _since(held)}
            end |= {"peak_memory_bytes": None, "attempt": attempt, "time": time.time()}
            with contextlib.suppress(OSError):
                self._writer.write(end)
        self.close()

    def end(self, status: str) -> None:
        """Let the record go, and remove the checkpoints of a trial that is over."""
        self.close()
        leavings.clear(self.folder, self.trial_id, status)
        if status in leavings.OVER:
            with contextlib.suppress(OSError):
                Store(self.store).clear(self.place)

    def close(self) -> None:
        self._held.close()
        self._writer = None
        if log.blank(self.log):
            self.log.unlink(missing_ok=True)


def _file(plugin: str) -> bool:
    return plugin.endswith(".py")


def _since(held: list[records.Row]) -> float:
    """When the attempt began: its `attempt` row, else the header."""
    return next((float(row["time"]) for row in reversed(held) if row["row"] == "attempt"), float(held[0]["created"]))
