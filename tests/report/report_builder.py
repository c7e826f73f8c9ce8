"""Records for the report's tests, written with the harness's own writer."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.records import Row, Writer

DELAY = {"name": "delay", "title": "Delay", "suite": "synthetic", "primary": "rmse", "higher_is_better": False}
LISTOPS = {"name": "listops", "title": "ListOps", "suite": "lra", "primary": "accuracy", "higher_is_better": True}
START = 1_790_000_000.0
LEVELS = {"basis": ["legs", "legt", "fout"], "dt": ["0.001..0.1", "0.008"]}
Score = Callable[[Mapping[str, str], int], float]


def header(
    name: str = "study",
    arm: Mapping[str, str] | None = None,
    seed: int = 0,
    levels: Mapping[str, Sequence[str]] | None = None,
    task: Mapping[str, Any] = DELAY,
    repeats: int = 3,
    steps: int = 40,
    **ablation: Any,
) -> Row:
    """A header as `harness.trial` writes it; further keywords go into its `ablation`."""
    levels = LEVELS if levels is None else levels
    arm = {axis: labels[0] for axis, labels in levels.items()} if arm is None else arm
    low, _, high = arm.get("dt", "0.001..0.1").partition("..")
    spec = {
        "kind": "train",
        "seed": seed,
        "task": {"name": task["name"], "version": 1, "length": 256, "lag": 64},
        "basis": {"name": arm.get("basis", "legs"), "version": 1},
        "dt": {"name": "log_uniform", "version": 1, "min": float(low), "max": float(high or low)},
        "model": {"name": "s4", "version": 1, "d_state": 64, "structure": "dplr"},
        "backend": {"name": arm.get("backend", "krylov"), "version": 1},
        "training": {"name": "adamw", "version": 1, "steps": steps},
    }
    identity = hashlib.sha256(json.dumps([name, spec, arm, task["title"]], sort_keys=True).encode()).hexdigest()[:12]
    return {
        "row": "header",
        "schema": 1,
        "trial_id": identity,
        "created": START + seed,
        "harness": "0.1.0",
        "spec": spec,
        "ablation": {
            "name": name,
            "question": "Which basis keeps a delayed signal longest?",
            "expect": "LegT wins where the window matches the lag.",
            "text": 'question = "Which basis?"\n',
            "kind": "train",
            "primary": None,
            "compare": list(levels),
            "levels": {axis: list(labels) for axis, labels in levels.items()},
            "arm": dict(arm),
            "repeats": repeats,
            "settings": [],
            "smoke": False,
            "tolerance": None,
            "labels": [],
            **ablation,
        },
        "task": dict(task),
        "data": {"fingerprint": "abc123", "kind": "generated", "source": "own generator", "labels": []},
        "backend": arm.get("backend", "krylov"),
        "git": {"commit": "0123abcd", "dirty": False},
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "device": {"kind": "cpu", "name": "a processor", "threads": 1},
        "plugins": [],
    }


def metric(name: str, value: float, step: int, split: str, unit: str = "") -> Row:
    row = {"row": "metric", "name": name, "value": value, "unit": unit, "step": step, "split": split}
    return row | {"time": START + step, "attempt": 1}


def end(status: str = "done", reason: str = "") -> Row:
    row = {"row": "end", "status": status, "reason": reason, "seconds": 12.5, "peak_memory_bytes": 2**28}
    return row | {"attempt": 1, "time": START + 50}


def write(results: Path, rows: Sequence[Row]) -> Path:
    """One record in results/<ablation>/; returns that folder."""
    folder = results / Path(str(rows[0]["ablation"]["name"])).name
    writer = Writer(folder, str(rows[0]["trial_id"]))
    for row in rows:
        writer.write(row)
    if rows[-1]["row"] != "end":
        writer.close()
    return folder


def trial(
    results: Path,
    score: float,
    status: str = "done",
    reason: str = "",
    references: Mapping[str, float] = {"chance": 0.1, "zero": 0.6},
    run: Mapping[str, float] = {},
    test: Mapping[str, float] = {},
    **about: Any,
) -> Path:
    """A training record whose primary test metric is `score`, with curves, references, windows, `run` metrics and
    further `test` metrics.
    """
    head = header(**about)
    primary = head["task"]["primary"]
    dt = head["spec"]["dt"]
    rows = [head, *(metric(name, value, 0, "reference") for name, value in references.items())]
    for quantile, at in (("q05", 0.05), ("q25", 0.25), ("q50", 0.5), ("q75", 0.75), ("q95", 0.95)):
        window = 2 / (dt["max"] * (dt["min"] / dt["max"]) ** at)
        rows += [
            metric(f"window_{quantile}", window, step, split, "steps") for step, split in ((0, "init"), (40, "final"))
        ]
    rows += [metric("window_over_length", 0.25, 0, "init")]
    for step in (10, 20, 30, 40):
        loss = 0.5 + 2.0 ** (-step / 10) + 0.01 * head["spec"]["seed"]
        rows += [metric("loss", loss, step, "train"), metric(primary, score * (1 + 1 / step), step, "val")]
    rows += [metric(name, value, 40, "run") for name, value in run.items()]
    if status == "done":
        rows += [metric(name, value, 40, "test") for name, value in test.items()]
        rows += [metric(primary, score, 40, "test"), metric("train_s", 11.0, 40, "run", "s")]
        rows += [metric("sequences_per_s", 220.0, 40, "run"), metric("parameters", 1234.0, 40, "run")]
    return write(results, [*rows, end(status, reason)])


def stub(results: Path, status: str = "out_of_memory", reason: str = "killed by signal 9", **about: Any) -> Path:
    """The record of a trial that died before its own header: its supervisor wrote what the job alone tells.

    It takes the place of a record with the same id.
    """
    head = header(**about)
    (results / head["ablation"]["name"] / f"{head['trial_id']}.jsonl").unlink(missing_ok=True)
    del head["task"]
    empty = {"fingerprint": "", "kind": "", "source": "", "labels": []}
    return write(results, [head | {"data": empty, "backend": None, "device": {}}, end(status, reason)])


def sweep(
    results: Path,
    score: Score,
    seeds: int = 3,
    levels: Mapping[str, Sequence[str]] | None = None,
    **about: Any,
) -> Path:
    """A whole study: every arm and seed, with the score that `score(arm, seed)` gives."""
    levels = LEVELS if levels is None else levels
    folder = results
    for labels in itertools.product(*levels.values()):
        arm = dict(zip(levels, labels, strict=True))
        for seed in range(seeds):
            about_trial = {"repeats": seeds, **about, "levels": levels, "arm": arm, "seed": seed}
            folder = trial(results, score(arm, seed), **about_trial)
    return folder


def equivalence(results: Path, away: float, tolerance: float = 1e-3, backends: Sequence[str] = ("a", "b")) -> Path:
    """A study over two backends whose losses differ by the factor 1 + away at the last step."""
    folder = results
    for index, backend in enumerate(backends):
        levels = {"backend": list(backends)}
        head = header("same", {"backend": backend}, levels=levels, repeats=1, tolerance=tolerance)
        losses = [metric("loss", 1.0 / step, step, "train") for step in (1, 2)]
        losses.append(metric("loss", (1 / 3) * (1 + away * index), 3, "train"))
        folder = write(results, [head, *losses, metric("rmse", 0.3, 3, "test"), end()])
    return folder


def throughput(
    results: Path,
    seconds: Mapping[str, Sequence[float] | Mapping[int, float]],
    length: int = 1024,
    lengths: Sequence[int] = (1024,),
    gates: Mapping[str, bool] | None = None,
    unsupported: Mapping[str, Sequence[str]] | None = None,
    raised: Mapping[str, str] | None = None,
    left_out: Mapping[tuple[str, str], str] | None = None,
    run: Mapping[str, float] | None = None,
    parts: Mapping[str, float] | None = None,
    arm: Mapping[str, str] | None = None,
    levels: Mapping[str, Sequence[str]] | None = None,
    **timing: Any,
) -> Path:
    """A timing record: `seconds` by backend (and "<baseline>#2"), the first backend being the baseline.

    `raised` is backend to error, `left_out` is (backend, direction) to reason, `run` is further metrics of the run,
    `parts` are shares of a step, which then is forward and backward, and seconds may be by round; further keywords are
    parameters of the timer.
    """
    unsupported, gates, raised = unsupported or {}, gates or {}, raised or {}
    backends = list(dict.fromkeys([*(name for name in seconds if "#" not in name), *gates, *unsupported, *raised]))
    arm = arm or {"timer.length": str(length)}
    levels = levels or {"timer.length": [str(one) for one in lengths]}
    cases = ["basis", "timer"] if "case" in levels else []
    head = header("speed", arm, levels=levels, repeats=1, cases=cases)
    timer = {"name": "kernel", "version": 1, "backends": backends, "baseline": backends[0], "length": length}
    timer |= {
        "heads": 8,
        "state": 16,
        "structure": "diagonal",
        "dtype": "float32",
        "direction": "forward",
        "threads": 1,
        **timing,
    }
    head["spec"] = {"kind": "throughput", "seed": 0, "timer": timer, "basis": {"name": "legs", "version": 1}}
    head["spec"]["dt"] = {"name": "log_uniform", "version": 1, "min": 0.001, "max": 0.1}
    head["ablation"]["kind"] = "throughput"
    head["trial_id"] = hashlib.sha256(f"{length}{arm}".encode()).hexdigest()[:12]
    del head["task"], head["backend"]
    rows: list[Row] = [head]
    for backend, reasons in unsupported.items():
        rows.append({"row": "unsupported", "backend": backend, "reasons": list(reasons)})
    for backend in backends:
        if backend in raised:
            rows.append({"row": "gate", "backend": backend, "passed": False, "reason": raised[backend]})
        if backend in unsupported or backend in raised:
            continue
        passed = gates.get(backend, True)
        error = 2e-7 if passed else 0.5
        gate = {"row": "gate", "backend": backend, "passed": passed, "error": error, "gradient_error": error}
        rows += [gate | {"tolerance": 1e-5}, metric(f"{backend}/error", error, 0, "run")]
        rows.append(metric(f"{backend}/first_call_s", 0.5, 0, "run", "s"))
    for (backend, direction), reason in (left_out or {}).items():
        rows.append({"row": "left_out", "backend": backend, "direction": direction, "reason": reason})
    rows += [metric(name, value, 0, "run") for name, value in (run or {}).items()]
    for backend, values in seconds.items():
        by_round = values if isinstance(values, Mapping) else dict(enumerate(values))
        name = f"{backend}/{'both' if parts else 'forward'}_s"
        rows += [metric(name, value, repeat, "timing", "s") for repeat, value in by_round.items()]
    rows += [metric(name, value, 0, "parts") for name, value in (parts or {}).items()]
    return write(results, [*rows, end()])
