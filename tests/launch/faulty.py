"""A plugin with the task `faulty`: the delay task, in whose data something goes wrong. It does so in the child alone.

What happens once leaves a file in the folder HARNESS_FAULTS, so that the next attempt goes well.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.tasks import TASKS
from harness.tasks.delay import Delay
from harness.tasks.task import Batch, Data, Provenance

FOREVER_S = 3600.0


@dataclass(frozen=True)
class Faulty(Delay):
    """The delay task with a fault at one step of its training, or before its first row."""

    title: ClassVar[str] = "Faulty"

    fault: str = ""
    at: int = 0
    """The step before which it happens; the faults of BEGINNING happen before the header."""
    case: str = ""
    """Tells two trials with one fault apart."""

    def provenance(self, data_root: Path | None) -> Provenance:
        if self.fault in BEGINNING and multiprocessing.parent_process() is not None and self._first():
            BEGINNING[self.fault]()
        return super().provenance(data_root)

    def open(self, data_root: Path | None, seed: int) -> Data:
        data = super().open(data_root, seed)
        drawn = data.train_batch

        def train_batch(step: int, batch_size: int, order_seed: int) -> Batch:
            if step == self.at and self.fault in FAULTS and self._first():
                FAULTS[self.fault]()
            if self.fault == "slow" and not (_folder() / "quick").exists():
                time.sleep(0.02)
            batch = drawn(step, batch_size, order_seed)
            return Batch(batch.x * math.nan, batch.y) if (self.fault, self.at) == ("nan", step) else batch

        data.train_batch = train_batch  # type: ignore[method-assign]
        return data

    def _first(self) -> bool:
        try:
            (_folder() / f"{self.fault}-{self.case}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _folder() -> Path:
    return Path(os.environ["HARNESS_FAULTS"])


def _raise() -> None:
    raise ValueError("the trial's own mistake")


def _hog() -> None:
    """Take more memory than any trial here is allowed, and hold it."""
    held = [b"x" * (64 << 20) for _ in range(48)]
    time.sleep(FOREVER_S)
    del held


FAULTS: dict[str, Callable[[], object]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "raises": _raise,
    "hangs": lambda: time.sleep(FOREVER_S),
    "hogs": _hog,
}
BEGINNING: dict[str, Callable[[], object]] = {
    "mute": lambda: time.sleep(FOREVER_S),
    "leaves": lambda: os._exit(0),
}
TASKS["faulty"] = Faulty
