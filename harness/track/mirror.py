"""The background thread that ships a sweep's records to MLflow while it runs, and never stands in its way."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from harness.errors import EnvironmentProblem
from harness.track import store
from harness.track.folder import Folder, OutOfTime

FIRST_WAIT_S, LAST_WAIT_S = 1.0, 60.0
"""Between two tries while the store does not answer: doubled from the first to the last."""


class Mirror:
    """Ships the records in `folders` (results/<ablation>), each to the experiment of the same name.

        with Mirror([Path("results/delay")], uri) as mirror:
            ...
        print(mirror.message())

    Neither starting nor the sweep waits for the store; stopping waits at most `patience_s`. While the store
    does not answer, the thread tries again, ever more rarely. `thorough` compares every record with the
    store even when that remembers the folder as delivered. `only` gives the ids of the trials that are this
    process's to ship, by folder, where several processes share one (`--shard`); a search adds to them as it goes.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        uri: str,
        *,
        interval_s: float = 8.0,
        patience_s: float = 30.0,
        thorough: bool = False,
        only: Mapping[Path, Collection[str]] | None = None,
    ) -> None:
        self.uri, self.interval_s, self.patience_s = uri, interval_s, patience_s
        self.problem = ""
        """Why the store does not answer; empty while it does."""
        self._folders = [Folder(folder, uri, thorough, (only or {}).get(folder)) for folder in folders]
        self._deadline = math.inf
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mlflow-mirror", daemon=True)

    def __enter__(self) -> Mirror:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to ship; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ship what is left, for at most `patience_s`; what is not shipped then stays in the records."""
        self._deadline = time.monotonic() + self.patience_s
        self._stop.set()
        self._thread.join(self.patience_s)
        if self._thread.is_alive() and not self.problem:
            self.problem = self._late()

    def deliver(self) -> None:
        """Ship everything now, in this thread, in as many passes as each bring more than the one before.

        Raises EnvironmentProblem when the store does not take it all.
        """
        left = None
        while not self._attempt(final=True) or self.problem or self.refused:
            before, left = left, sum(self.undelivered().values())
            if left == before:
                raise EnvironmentProblem(self.message())

    @property
    def refused(self) -> dict[str, str]:
        """Trial id to the reason for which the store, which answers, does not take its record."""
        return {trial_id: why for folder in self._folders for trial_id, why in folder.refused.items()}

    def undelivered(self) -> dict[str, int]:
        """Trial id to the number of committed rows (the end row among them) not known to be in MLflow."""
        return {trial_id: rows for folder in self._folders for trial_id, rows in folder.undelivered().items()}

    def message(self) -> str:
        """One sentence for the end of a sweep; empty when everything is delivered."""
        left = self.undelivered()
        if not left and not self.refused:
            return ""
        why = self.problem or next(iter(self.refused.values()), "the sweep ended before it was sent")
        rows, trials = sum(left.values()), len(left)
        counted = f"{rows} row{'s' * (rows != 1)} of {trials} trial{'s' * (trials != 1)}"
        names = " ".join(folder.path.name for folder in self._folders if folder.refused or folder.undelivered())
        return (
            f"MLflow at {store.shown(self.uri)} lacks {counted} ({why}); "
            f"the records have them, and `harness push {names}` delivers them."
        )

    def _watch(self) -> None:
        failures, wait = 0, 0.0
        while not self._stop.wait(wait):
            failures = 0 if self._attempt(final=False) else failures + 1
            wait = min(LAST_WAIT_S, FIRST_WAIT_S * 2.0 ** (failures - 1)) if failures else self.interval_s
        self._attempt(final=True)

    def _attempt(self, final: bool) -> bool:
        """One pass over the folders; False when the store does not answer."""
        try:
            for folder in self._folders:
                folder.ship(final, self._deadline)
        except OutOfTime:
            self.problem = self._late()
        except Exception as problem:
            for folder in self._folders:
                folder.disconnect()
            self.problem = store.reason(problem)
            return False
        else:
            self.problem = ""
        return True

    def _late(self) -> str:
        return f"it took longer than {self.patience_s:g} s"
