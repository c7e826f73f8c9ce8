"""A record's header and rows in MLflow's words: names, params, tags, metric keys, statuses. Pure, without mlflow."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.records import Row

RUN_STATUS = {
    "done": "FINISHED",
    "unsupported": "FINISHED",
    "stopped": "FINISHED",
    "interrupted": "KILLED",
    "error": "FAILED",
    "diverged": "FAILED",
    "out_of_memory": "FAILED",
    "timeout": "FAILED",
}
"""MLflow's status for each of ours; unsupported and stopped are outcomes, not failures."""
NOTE = "mlflow.note.content"
EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}
"""Opens the experiment on its runs; without it the UI guesses, and shows its pages for language models."""
NOT_FINITE = "not_finite"
"""The tag that names an infinite value of a run."""


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def run_name(header: Row) -> str:
    """Such as "legs · dt 0.001..0.1 · seed 0": basis, dt, the other compared axes, the seed or tuning number."""
    tune = header["ablation"].get("tune", {})
    last = f"tuning {tune['index']}" if tune.get("stage") == "tuning" else f"seed {header['spec']['seed']}"
    return f"{arm_name(header)} · {last}"


def arm_name(header: Row) -> str:
    """What the trials of an arm share, such as "legs · dt 0.001..0.1"; charts group their curves by it."""
    spec, arm = header["spec"], header["ablation"].get("arm", {})
    others = [f"{axis} {label}" for axis, label in arm.items() if axis not in ("basis", "dt")]
    return " · ".join([_label("basis", spec, arm), f"dt {_label('dt', spec, arm)}", *others])


def params(spec: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The spec, flattened: ("basis.name", "legs"), ("training.lr", "0.01"), ..."""
    for key, value in spec.items():
        if isinstance(value, Mapping):
            yield from params(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def tags(header: Row) -> dict[str, str]:
    """The columns that a person sorts and filters runs by."""
    spec, ablation = header["spec"], header["ablation"]
    commit = header.get("git", {}).get("commit")
    model = spec.get("model") or spec.get("timer") or {}
    backend = header.get("backend") or spec.get("backend", {}).get("name") or ", ".join(model.get("backends", ()))
    found = {
        "harness.kind": "trial",
        "harness.trial_id": header["trial_id"],
        "harness.version": header.get("harness"),
        "basis": spec["basis"]["name"],
        "structure": model.get("structure"),
        "dt": _label("dt", spec, ablation.get("arm", {})),
        "backend": backend,
        "task": spec.get("task", {}).get("name"),
        "seed": spec["seed"],
        "stage": ablation.get("tune", {}).get("stage"),
        "arm": arm_name(header),
        "git_commit": commit,
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "harness",
        "device": header.get("device", {}).get("name"),
        "labels": "; ".join([*ablation.get("labels", ()), *header.get("data", {}).get("labels", ())]),
        **{f"arm.{axis}": label for axis, label in ablation.get("arm", {}).items()},
    }
    return {_key(key): str(value) for key, value in found.items() if value not in (None, "")}


def sweep_tags(header: Row, name: str) -> dict[str, str]:
    """The parent run's tags."""
    ablation = header["ablation"]
    return {
        "harness.kind": "sweep",
        "harness.ablation": name,
        "harness.text": text_hash(header),
        "status": "running",
        "mlflow.source.name": "harness",
        NOTE: note(header),
        **({"primary": str(ablation["primary"])} if ablation.get("primary") else {}),
    }


def text_hash(header: Row) -> str:
    """12 hex digits of the ablation's text; with its name, the identity of a sweep."""
    return hashlib.sha256(str(header["ablation"].get("text", "")).encode()).hexdigest()[:12]


def note(header: Row) -> str:
    """The experiment's description: the question and what was expected. Some pages of the UI show it as plain text."""
    ablation = header["ablation"]
    return f"{ablation.get('question', '')}\n\nExpected: {ablation.get('expect', '')}"


def metric(row: Row) -> tuple[str, float, int, int] | None:
    """(key "<split>/<name>", value, timestamp in ms, step) of a metric row; None for a row without a number.

    An infinite value becomes NaN: MLflow stores infinity as 1.8e308, which flattens every chart that has it.
    """
    value = row.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    name = "/".join(part for part in (row.get("split"), row["name"]) if part)
    finite = float(value) if math.isfinite(value) else math.nan
    return _key(name), finite, milliseconds(row["time"]), int(row.get("step", 0))


def infinite(row: Row) -> str | None:
    """ "inf in train/loss at step 40" for a metric row whose value is infinite."""
    value = row.get("value")
    if not isinstance(value, float) or not math.isinf(value):
        return None
    return f"{value} in {row.get('split', '')}/{row['name']} at step {row.get('step', 0)}"


def dataset(header: Row) -> dict[str, str] | None:
    """The trial's data as MLflow's dataset fields; None where there is none, as in a kernel timing."""
    data, task = header.get("data") or {}, header.get("task") or {}
    if not data.get("fingerprint"):
        return None
    return {
        "name": str(task.get("name") or header["spec"].get("task", {}).get("name") or "data")[:500],
        "digest": str(data["fingerprint"])[:36],
        "source_type": str(data.get("kind", "generated")),
        "source": json.dumps({"source": data.get("source", "")}),
        "profile": json.dumps({"fingerprint": data["fingerprint"], "labels": data.get("labels", [])}),
    }


def _label(axis: str, spec: Mapping[str, Any], arm: Mapping[str, str]) -> str:
    if axis in arm:
        return str(arm[axis])
    choice = spec[axis]
    if {"min", "max"} <= choice.keys():
        return str(choice["min"]) if choice["min"] == choice["max"] else f"{choice['min']}..{choice['max']}"
    return str(choice["name"])


def _key(name: str) -> str:
    """`name` with what MLflow refuses in a key replaced: odd characters, and parts that read as a path."""
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    return "/".join("_" if part.strip(".") == "" else part for part in parts)[:250]
