"""`push`: a folder of records to a store. `pull`: the records of an experiment back into a folder, byte for byte."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import records
from harness.errors import EnvironmentProblem, UsageError, unknown
from harness.records import Row
from harness.track import store
from harness.track.mirror import Mirror
from harness.track.snapshot import files

EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TRIAL_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Pushed:
    """What `push` found in the folder; all of it is in the store now."""

    trials: int

    def __str__(self) -> str:
        return f"all of {self.trials} trials are in MLflow"


@dataclass(frozen=True)
class Pulled:
    """Trial ids by what `pull` did with them."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    unfinished: tuple[str, ...]
    """Runs that hold no whole record, because their trials are still to end."""

    def __str__(self) -> str:
        counts = (len(self.written), len(self.unchanged), len(self.unfinished))
        return "{} records written, {} unchanged, {} not ended yet".format(*counts)


def push(folder: Path, uri: str) -> Pushed:
    """Deliver every record of `folder` (results/<ablation>) that the store lacks; a second call changes nothing.

    Raises UsageError when the folder has no records, EnvironmentProblem when the store does not take them.
    """
    found = files(folder)
    if not found:
        raise UsageError(
            f"'{folder}' holds no trial records. Give the folder of an ablation, such as results/quickstart."
        )
    store.prepare(uri)
    Mirror([folder], uri, thorough=True).deliver()
    return Pushed(len(found))


def pull(uri: str, experiment: str, results: Path) -> Pulled:
    """Write results/<experiment>/<trial_id>.jsonl for every ended trial of the experiment; the same bytes stay.

    Nothing is written before every record is fetched and checked. Raises UsageError for an unknown experiment,
    for one whose name is no folder name, and for a local record that differs and is newer; EnvironmentProblem
    when the store fails or holds a damaged record.
    """
    if not EXPERIMENT.fullmatch(experiment):
        raise UsageError(
            f"The experiment '{experiment}' cannot name a results folder: use letters, digits, '.', '_' and '-' only."
        )
    store.prepare(uri)
    client = store.client(uri)
    folder = results / experiment
    written, unchanged, unfinished = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        fresh: dict[str, bytes] = {}
        for location, trial_id, sha256 in _runs(client, experiment):
            if not sha256:
                unfinished.append(trial_id)
                continue
            data = _fetch(uri, location, trial_id, sha256, Path(scratch))
            if _same_or_older(folder, trial_id, data):
                unchanged.append(trial_id)
            else:
                fresh[trial_id] = data
        for trial_id, data in fresh.items():
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"{trial_id}.jsonl", data)
            (folder / f"{trial_id}.jsonl.partial").unlink(missing_ok=True)
            written.append(trial_id)
    return Pulled(tuple(written), tuple(unchanged), tuple(unfinished))


def _runs(client: Any, experiment: str) -> Iterator[tuple[str, str, str]]:
    """(where its files are, trial id, SHA-256 of its record or "") of every trial run that is not deleted."""
    found = client.get_experiment_by_name(experiment)
    if found is None or found.lifecycle_stage != "active":
        names = [one.name for one in client.search_experiments()]
        raise unknown("MLflow experiment", experiment, names)
    token = None
    while True:
        page = client.search_runs([found.experiment_id], "tags.`harness.kind` = 'trial'", page_token=token)
        for run in page:
            trial_id = run.data.tags.get("harness.trial_id", "")
            if not TRIAL_ID.fullmatch(trial_id):
                raise EnvironmentProblem(
                    f"The run {run.info.run_id} of '{experiment}' is tagged with the trial id '{trial_id}', which is "
                    f"not 12 hex digits; delete that run and pull again."
                )
            yield run.info.artifact_uri, trial_id, run.data.tags.get("harness.record", "")
        token = page.token
        if not token:
            return


def _fetch(uri: str, location: str, trial_id: str, sha256: str, scratch: Path) -> bytes:
    name = f"record/{trial_id}.jsonl"
    try:
        data = Path(store.artifacts(uri, location).download_artifacts(name, str(scratch))).read_bytes()
    except Exception as problem:
        raise EnvironmentProblem(
            f"The record of trial {trial_id} cannot be read from {store.shown(uri)} ({store.reason(problem)}); "
            f"check that its artifacts are reachable from here."
        ) from None
    (scratch / name).unlink(missing_ok=True)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise EnvironmentProblem(
            f"The record of trial {trial_id} at {store.shown(uri)} is damaged: its SHA-256 is not the one noted "
            f"when it was sent. Push it again from where it was made."
        )
    return data


def _same_or_older(folder: Path, trial_id: str, data: bytes) -> bool:
    """True when the local record is these bytes. Raises UsageError when it differs and is newer."""
    path = files(folder).get(trial_id)
    if path is None:
        return False
    local = path.read_bytes()
    if local == data:
        return True
    ours, theirs = _time(path), _last_time(data.splitlines())
    if ours > theirs:
        raise UsageError(
            f"'{path}' differs from the record in MLflow and is newer. Move it away to take the older one, "
            f"or run `harness push {folder.name}` to send it."
        )
    return False


def _time(path: Path) -> float:
    return _last_time(records.lines(path))


def _last_time(lines: list[bytes]) -> float:
    """Unix time of the last row that has one."""
    for line in reversed(lines):
        row: Row = records.decode(line)
        when = row.get("time", row.get("created"))
        if when is not None:
            return float(when)
    return 0.0


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f"{path.name}.pulled")
    beside.write_bytes(data)
    beside.replace(path)
