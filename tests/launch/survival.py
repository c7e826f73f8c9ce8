"""What must hold after any fault once the same command was run again, and the command line in a process of its own."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from launch_toy import left, spawn, until

from harness import records
from harness.records import Record
from harness.training.schedule import spaced

CLOCKS = ("run", "system")
"""Splits that are measured by the clock, so that no two trials agree in them."""
Point = tuple[str, int, str, int]
"""Key, step, value and milliseconds of a metric, as a record and as MLflow have it."""


def survived(
    folder: Path, uri: str, planned: Iterable[str], ended: Mapping[str, str] | None = None
) -> dict[str, Record]:
    """Every planned trial has one finished record and one MLflow run, which say the same, without gap or repeat.

    `ended` names the status of those that do not end `done`. Returns the records by trial id.
    """
    found = {path.stem: records.read(path) for path in folder.glob("*.jsonl")}
    assert sorted(found) == sorted(planned)
    assert {name: one.status for name, one in found.items()} == dict.fromkeys(found, "done") | dict(ended or {})
    left = [path.name for path in folder.rglob("*") if path.suffix in (".partial", ".rewrite", ".pt")]
    assert not left, "nothing unfinished is left beside the records"
    for one in found.values():
        _whole(one)
    runs = trial_runs(folder.name, uri)
    assert sorted(name for name, _, _ in runs) == sorted(planned), "one active run for each trial"
    for name, tags, points in runs:
        assert tags["status"] == found[name].status
        assert tags["harness.record"] == hashlib.sha256(found[name].path.read_bytes()).hexdigest()
        assert points == Counter(map(_point, found[name].metrics()))
    return found


def _whole(record: Record) -> None:
    """One header, one end, attempts in order, and of every metric each step once, in order and none missing."""
    kinds = [json.loads(line)["row"] for line in record.path.read_bytes().splitlines()]
    assert (kinds[0], kinds[-1], kinds.count("header"), kinds.count("end")) == ("header", "end", 1, 1)
    attempts = [row["attempt"] for row in record.rows if row["row"] == "attempt"]
    assert attempts == sorted(set(attempts))
    steps = defaultdict(list)
    for row in record.metrics():
        steps[f"{row['split']}/{row['name']}"].append(row["step"])
    for name, taken in steps.items():
        assert taken == sorted(set(taken)), f"{name} of {record.trial_id}"
    for name, wanted in _steps(record.header["spec"]).items():
        assert steps[name] == (wanted if record.status == "done" else wanted[: len(steps[name])])
    assert all(len(steps[name]) == 1 for name in steps if name.startswith("test/"))


def _steps(spec: Mapping[str, Any]) -> dict[str, list[int]]:
    """The steps at which a trial must have a training and a validation loss; of a toy, which only counts, the first."""
    if "training" not in spec:
        return {"train/loss": list(range(spec["steps"]))}
    steps, evaluations = spec["training"]["steps"], spec["training"]["evaluations"]
    looks = spaced(steps, evaluations)
    return {"val/loss": list(looks), "train/loss": sorted({*looks, *spaced(steps, 50)})}


def _point(row: records.Row) -> Point:
    value = row["value"] if math.isfinite(row["value"]) else math.nan
    return f"{row['split']}/{row['name']}", row["step"], repr(float(value)), round(row["time"] * 1000)


def trial_runs(experiment: str, uri: str) -> list[tuple[str, dict[str, str], Counter[Point]]]:
    """Trial id, tags and metric histories of every active run of a trial."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    identity = client.get_experiment_by_name(experiment).experiment_id
    found = []
    for run in client.search_runs([identity], "tags.`harness.kind` = 'trial'", max_results=1000):
        histories = (client.get_metric_history(run.info.run_id, key) for key in run.data.metrics)
        points = Counter((m.key, m.step, repr(m.value), m.timestamp) for one in histories for m in one)
        found.append((run.data.tags["harness.trial_id"], dict(run.data.tags), points))
    return found


def measured(record: Record) -> list[dict[str, Any]]:
    """What a trial measured, without clocks, attempts and names: equal for two trials that computed the same."""
    rows = (row for row in record.rows if row["row"] in ("metric", "array") and row.get("split") not in CLOCKS)
    return [{key: str(value) for key, value in row.items() if key not in ("time", "attempt")} for row in rows]


def start(cwd: Path, *arguments: str, **given: Any) -> subprocess.Popen[str]:
    return spawn([sys.executable, "-m", "harness", *arguments], cwd, **given)


def end(driver: subprocess.Popen[str], seconds: float = 150.0) -> tuple[int, str]:
    """The exit code and all that it said, which is never a traceback; nothing that it started outlives it."""
    said, _ = driver.communicate(timeout=seconds)
    assert "Traceback" not in said, said
    assert until(lambda: not left(driver), seconds=10.0), (said, left(driver))
    return driver.returncode, said


def wait(happened: Callable[[], object], driver: subprocess.Popen[str]) -> None:
    """Until it happened, which it must before the driver ends."""
    assert until(lambda: happened() or driver.poll() is not None, seconds=120)
    assert driver.poll() is None, driver.communicate()[0]


def cut(path: Path, share: float = 0.5) -> bytes:
    """The first `share` of a file, ending in the middle of a line, as a machine that lost power leaves it."""
    data = path.read_bytes()
    place = int(len(data) * share)
    while data[place - 1 : place] in (b"\n", b"}") or data[place : place + 1] == b"\n":
        place -= 1
    return data[:place]
