"""One record into one MLflow run: its params and committed rows in batches, and at the end its artifacts.

In as few calls as it can be: a server that hashes a password for each, or is far away, takes as long as they are many.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.track import describe, plots, store
from harness.track.snapshot import Snapshot

BATCH, PARAMS = 850, 90
"""Rows and params in one request; MLflow takes 1,000 metrics, params and tags together, 100 of them params."""


@dataclass
class Run:
    """What an MLflow run holds of a record, as its tags say."""

    run_id: str
    artifacts: str
    """Where its files are."""
    status: str = ""
    rows: int = 0
    digest: str = ""
    record: str = ""
    """SHA-256 of the record that was delivered whole; empty before that."""
    complete: bool = False
    """Its params are there."""


def rows(client: Any, run: Run, taken: Snapshot) -> None:
    """Log the params and committed rows that the run lacks, each batch with the tags that say how far it goes."""
    from mlflow.entities import Metric, Param, RunTag

    params = [] if run.complete else [Param(key, value) for key, value in describe.params(taken.header["spec"])]
    while len(params) > PARAMS:
        client.log_batch(run.run_id, params=params[:PARAMS])
        params = params[PARAMS:]
    if run.rows == 0 and taken.committed:
        _dataset(client, run, taken)
    while not run.complete or run.rows < taken.committed:
        stop = min(run.rows + BATCH, taken.committed)
        batch = list(taken.rows(run.rows, stop))
        metrics = [row for row in batch if row["row"] == "metric"]
        digest = str(taken.digest(stop))
        tags = {"harness.rows": str(stop), "harness.digest": digest}
        if run.rows == 0:
            # A trial that started afresh has a new header, with another commit perhaps.
            tags |= describe.tags(taken.header)
        if first := next(filter(None, map(describe.infinite, metrics)), None):
            tags[describe.NOT_FINITE] = first
        if attempts := [row["attempt"] for row in batch if row["row"] == "attempt"]:
            tags["attempt"] = str(attempts[-1])
        client.log_batch(
            run.run_id,
            metrics=[Metric(*one) for one in map(describe.metric, metrics) if one is not None],
            params=params,
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        params, run.complete, run.rows, run.digest = [], True, stop, digest


def finish(client: Any, run: Run, taken: Snapshot) -> None:
    """Artifacts, then the status, then the tag that says all is there: a cut in between is done again."""
    assert taken.end is not None
    arrays = {row["name"]: row["values"] for row in taken.rows(0, len(taken.lines)) if row["row"] == "array"}
    pictures = {f"plots/{name}": svg.encode() for name, svg in plots.draw(arrays).items()}
    text = str(taken.header["ablation"].get("text", "")).encode()
    upload(client, run.artifacts, {f"record/{taken.trial_id}.jsonl": taken.data, "ablation.toml": text, **pictures})
    tags = {
        "attempt": str(taken.end.get("attempt", 1)),
        "reason": str(taken.end.get("reason", ""))[:1000],
        "harness.record": taken.sha256,
    }
    state(client, run, taken.status, describe.RUN_STATUS[taken.status], taken.end["time"], tags)
    run.record = taken.sha256


def state(
    client: Any,
    run: Run,
    status: str,
    run_status: str,
    ended: float | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Set MLflow's status of the run, and our own with any more `tags`; `ended` is in Unix seconds."""
    from mlflow.entities import RunTag

    if run_status == "RUNNING":
        client.update_run(run.run_id, status=run_status)
    else:
        end_time = None if ended is None else describe.milliseconds(ended)
        client.set_terminated(run.run_id, status=run_status, end_time=end_time)
    every = {"status": status, **{key: value for key, value in (tags or {}).items() if value}}
    client.log_batch(run.run_id, tags=[RunTag(key, value) for key, value in every.items()])
    run.status = status


def upload(client: Any, artifacts: str, files: Mapping[str, bytes]) -> None:
    """Put `files` (path to content) below `artifacts` as they are now; a later upload replaces them."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        store.artifacts(client.tracking_uri, artifacts).log_artifacts(folder)


def _dataset(client: Any, run: Run, taken: Snapshot) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if found := describe.dataset(taken.header):
        client.log_inputs(run.run_id, [DatasetInput(Dataset(**found), [InputTag("mlflow.data.context", "training")])])
