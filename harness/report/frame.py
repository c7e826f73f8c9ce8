"""Records as data frames, for a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from harness.records import Record
from harness.report.gather import folders, read_all

METRIC_COLUMNS = ("name", "split", "step", "value", "unit", "time", "attempt")
IDENTITY_COLUMNS = ("ablation", "trial_id", "kind", "status", "seed")
Paths = Path | str | Iterable[Path | str]


def load_results(path: Paths) -> pd.DataFrame:
    """One row per metric: the trial's identity, its spec entries and axis labels, then name, split, step, value.

    `path` is the results folder of one ablation, its parent, or a list of either. An axis whose name is also a column
    of the spec (basis, dt, ...) shows the arm's label. Raises UsageError when there is no record.
    """
    frames = []
    for record in read_all(folders(path)):
        frame = pd.DataFrame(list(record.metrics()), columns=list(METRIC_COLUMNS))
        frames.append(frame.assign(**identity(record)))
    return _joined(frames, METRIC_COLUMNS)


def trials(path: Paths) -> pd.DataFrame:
    """One row per trial: identity, status, reason, seconds, peak memory and every test metric as `test_<name>`.

    Raises UsageError when there is no record.
    """
    frames = []
    for record in read_all(folders(path)):
        end = record.end or {}
        row = identity(record) | {
            "reason": end.get("reason", ""),
            "seconds": end.get("seconds"),
            "peak_memory_bytes": end.get("peak_memory_bytes"),
            "attempts": end.get("attempt", 1),
            "created": record.header["created"],
        }
        row |= {f"test_{one['name']}": one["value"] for one in record.metrics() if one["split"] == "test"}
        frames.append(pd.DataFrame([row]))
    return _joined(frames, ())


def identity(record: Record) -> dict[str, Any]:
    """The columns that say which trial a row is of."""
    header = record.header
    spec, ablation = header["spec"], header["ablation"]
    about: dict[str, Any] = {
        "ablation": ablation["name"],
        "trial_id": record.trial_id,
        "kind": spec["kind"],
        "status": record.status,
        "seed": spec["seed"],
    }
    for part in ("task", "basis", "model", "backend", "training", "timer"):
        if part in spec:
            about[part] = spec[part]["name"]
    if dt := spec.get("dt"):
        same = dt.get("min") == dt.get("max")
        about["dt"] = str(dt.get("min")) if same else f"{dt.get('min')}..{dt.get('max')}"
    for part in ("model", "timer"):
        if "structure" in spec.get(part, {}):
            about["structure"] = spec[part]["structure"]
    if header.get("backend"):
        about["backend"] = header["backend"]
    about["device"] = header.get("device", {}).get("kind", "")
    if tune := ablation.get("tune"):
        about |= {"stage": tune["stage"], **tune["values"]}
    return about | {axis: str(label) for axis, label in ablation["arm"].items()}


def _joined(frames: list[pd.DataFrame], last: tuple[str, ...]) -> pd.DataFrame:
    """One frame with the identity first and `last` last; a column that a trial lacks is empty there."""
    whole = pd.concat(frames, ignore_index=True)
    middle = [column for column in whole.columns if column not in (*IDENTITY_COLUMNS, *last)]
    return whole[[*IDENTITY_COLUMNS, *middle, *last]]
