"""One folder of records (results/<ablation>) and how much of it MLflow is known to hold."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harness.track import delivered, describe, store
from harness.track.runs import Runs
from harness.track.shipping import Run
from harness.track.snapshot import Snapshot, files, take

Stamp = tuple[int, int]
"""Size in bytes and time of change in ns of a record file."""
TRIES = 3
"""Passes in which the store may refuse an unchanged record: another shard may just be mending a shared parent run."""
TICK_NS = 10_000_000
"""The clock of a file's time of change goes in steps of up to this, so it may be behind ours."""


class Offline(Exception):
    """The store does not answer."""


class OutOfTime(Exception):
    """The deadline passed before everything was shipped."""


@dataclass(frozen=True)
class _Seen:
    """A record that was shipped as far as it may be, and what it says for the parent run's summary."""

    stamp: Stamp
    text: str
    status: str
    ended: float


class Folder:
    """Ships the records in `path` to the experiment of the same name.

    Only files that changed are read. A folder that the store remembers as delivered is not even compared,
    unless `thorough`. Where `only` is given, the other trials are shipped by other processes.
    """

    def __init__(self, path: Path, uri: str, thorough: bool, only: Collection[str] | None = None) -> None:
        self.path, self.uri, self.thorough = path, uri, thorough
        self.only = only
        self.refused: dict[str, str] = {}
        """Trial id to the reason for which the store, which answers, does not take its record."""
        self._runs: Runs | None = None
        self._in_doubt = False
        """A call failed, and what it did is unknown: the store may have done it and its answer been lost."""
        self._shipped: dict[str, Run] = {}
        self._seen: dict[str, _Seen] = {}
        self._remembered: dict[str, Stamp] | None = None
        self._tries: Counter[tuple[str, Stamp]] = Counter()
        self._given_up: set[str] = set()
        self._started_ns = time.time_ns() - TICK_NS

    def ship(self, final: bool, deadline: float) -> None:
        """One pass over the files. `final`: trials without an end are interrupted, and the parent run is closed.

        Raises OutOfTime past the monotonic time `deadline`, and whatever the store raises when it fails.
        """
        paths = files(self.path)
        stamps = {trial_id: stamp for trial_id, path in paths.items() if (stamp := _stamp(path)) is not None}
        if not stamps or stamps == self._remembered:
            return
        if (
            self._runs is None
            and not self.thorough
            and delivered.glance(self.uri, self.path.name) == _fingerprint(stamps)
        ):
            self._remembered = stamps
            return
        if any(stamps.get(trial_id) != self._seen[trial_id].stamp for trial_id in self._given_up):
            # It is to be sent anew, and an answer that was lost may have made its run.
            self.disconnect()
        runs = self._runs or self._connect(stamps)
        if runs is None:
            return
        for trial_id, stamp in stamps.items():
            if not self._is_ours(trial_id):
                continue
            seen = self._seen.get(trial_id)
            if seen is not None and seen.stamp == stamp and not (final and seen.status == "running"):
                continue
            if time.monotonic() > deadline:
                raise OutOfTime
            self._record(runs, trial_id, paths[trial_id], stamp, final)
        if final:
            self._settle(runs, stamps)
        if self._in_doubt:
            self.disconnect()

    def disconnect(self) -> None:
        """After a failure: what a lost answer did is unknown, so the runs are found again before the next word."""
        self._runs, self._in_doubt = None, False

    def undelivered(self) -> dict[str, int]:
        """Trial id to the number of committed rows (the end row among them) not known to be in MLflow."""
        left = {}
        for trial_id, path in files(self.path).items():
            taken = None if not self._is_ours(trial_id) or self._is_done(trial_id, path) else _take(path)
            if taken is None:
                continue
            run = self._shipped.get(trial_id)
            valid = run is not None and run.digest == taken.digest(run.rows)
            rows = taken.committed - (run.rows if run is not None and valid else 0)
            rows += taken.end is not None and (run is None or run.record != taken.sha256)
            if rows > 0:
                left[trial_id] = rows
        return left

    def _connect(self, stamps: dict[str, Stamp]) -> Runs | None:
        """The experiment's runs, found; None when the store remembers this very state."""
        store.prepare(self.uri)
        artifacts = store.artifact_location(self.uri, self.path.parent)
        ours = stamps if self.thorough and self.only is None else self.only
        runs = Runs(store.client(self.uri), self.path.name, artifacts, ours)
        self._remembered = None
        self._seen.clear()
        self._given_up.clear()
        if runs.remembered == _fingerprint(stamps) and not self.thorough:
            self._remembered = stamps
            return None
        runs.find()
        self._runs, self._shipped = runs, runs.trials
        return runs

    def _record(self, runs: Runs, trial_id: str, path: Path, stamp: Stamp, final: bool) -> None:
        self.refused.pop(trial_id, None)
        try:
            taken = take(path)
            if taken is None:
                return
            # A partial file that nobody touched since the start waits for its turn: it is not running.
            live = not final and self._is_touched(stamp)
            run = runs.deliver(taken, live)
            text = describe.text_hash(taken.header)
            if live and taken.end is None:
                runs.parents.reopen(text)
        except Exception as problem:
            if not runs.ping():
                raise Offline(store.reason(problem)) from problem
            self.refused[trial_id] = store.reason(problem)
            self._tries[trial_id, stamp] += 1
            if self._tries[trial_id, stamp] >= TRIES:
                self._seen[trial_id] = _Seen(stamp, "", "", 0.0)
                self._given_up.add(trial_id)
            else:
                self._in_doubt = True
            return
        self._seen[trial_id] = _Seen(stamp, text, run.status, _ended(taken, stamp))

    def _settle(self, runs: Runs, stamps: dict[str, Stamp]) -> None:
        for text in {seen.text for seen in self._seen.values() if seen.text}:
            if self.thorough or self.only is not None:
                # The folder need not hold the whole sweep: each machine may have one with its own part.
                runs.parents.settle_shared(text)
                continue
            trials = [seen for seen in self._seen.values() if seen.text == text]
            runs.parents.settle(text, Counter(seen.status for seen in trials), max(seen.ended for seen in trials))
        if self.only is None and not self.refused and runs.remembered != _fingerprint(stamps):
            runs.remember(_fingerprint(stamps))

    def _is_ours(self, trial_id: str) -> bool:
        return self.only is None or trial_id in self.only

    def _is_touched(self, stamp: Stamp) -> bool:
        """Whether the file has changed since this process began."""
        return stamp[1] >= self._started_ns

    def _is_done(self, trial_id: str, path: Path) -> bool:
        stamp, seen = _stamp(path), self._seen.get(trial_id)
        if self._remembered is not None:
            return self._remembered.get(trial_id) == stamp
        return seen is not None and seen.stamp == stamp and trial_id not in self.refused


def _take(path: Path) -> Snapshot | None:
    try:
        return take(path)
    except Exception:
        return None


def _ended(taken: Snapshot, stamp: Stamp) -> float:
    return float(taken.end["time"]) if taken.end else stamp[1] / 1e9


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def _fingerprint(stamps: dict[str, Stamp]) -> str:
    """Of a folder's state, without reading the files in it."""
    text = "\n".join(f"{trial_id} {size} {changed}" for trial_id, (size, changed) in sorted(stamps.items()))
    return hashlib.sha256(text.encode()).hexdigest()
