"""A search whose trials compute their scores instead of training for them; the runner runs in the child."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launch_toy import HERE

from harness import records
from harness.ablation import read
from harness.launch import search as searching
from harness.launch.options import Options, Sweep
from harness.launch.queue import due
from harness.plan import plan

EVALUATIONS = 9
FILE = """
question = "Which?"
expect = "This."
repeats = 2
[fixed]
task = {name = "delay", length = 64, lag = 16}
training = {steps = 90}
[compare]
basis = ["legs", "legt"]
[tune]
method = "tpe"
trials = 4
lr = {low = 1e-4, high = 1e-1, log = true}
weight_decay = {low = 0.0, high = 1.0}
"""


def toy(folder: Path, change: Callable[[str], str] = lambda text: text, **given: Any) -> Sweep:
    path = folder.parent / "toy.toml"
    path.write_text(change(FILE))
    return Sweep("toy", folder, (), search=plan(read(path)).search, **given)


def options(**given: Any) -> Options:
    chosen = {"executor": "local", "runner": "search_toy:run", "path": (str(HERE),), "quiet": True, "slots": 2}
    return Options(**{**chosen, **given})


def play(sweep: Sweep, **given: Any) -> None:
    """What the driver does, in this process and without a supervisor: quick, where neither matters."""
    search = searching.Searching(sweep, options(**given))
    while tasks := due(search.sweep(), options(**given)).tasks:
        for task in tasks:
            run(task["job"], records.Writer(sweep.folder, task["job"]["trial_id"]).write)
    search.mirror()


def tune(record: records.Record) -> dict[str, Any]:
    found: dict[str, Any] = record.header["ablation"]["tune"]
    return found


def stage(folder: Path, name: str) -> list[records.Record]:
    """The records of one stage, arm by arm in the order of their numbers and seeds."""
    found = [record for record in map(records.read, folder.glob("*.jsonl")) if tune(record)["stage"] == name]
    return sorted(found, key=lambda one: (basis(one), tune(one)["index"], one.header["spec"]["seed"]))


def basis(record: records.Record) -> str:
    return str(record.header["ablation"]["arm"]["basis"])


def proposals(folder: Path) -> list[tuple[str, int, str]]:
    return [(basis(record), tune(record)["index"], record.trial_id) for record in stage(folder, "tuning")]


def best_of(record: records.Record) -> float:
    return min(score for _, score in searching.curve(record, "rmse"))


def run(
    job: dict[str, Any],
    emit: Callable[[dict[str, Any]], None],
    *,
    attempt: int = 1,
    history: Sequence[Mapping[str, str]] = (),
    **_: Any,
) -> str:
    """Emits a falling error on validation whose last value is the distance of lr from 0.003 in decades.

    A weight decay above a half diverges where the labels of the file say so, a large lr raises or has no memory.
    """
    spec, labels = job["spec"], job["ablation"]["labels"]
    training = spec["training"]
    emit({"row": "resume", "rows": 0})
    emit({"row": "header", "schema": 1, "trial_id": job["trial_id"], "created": time.time(), "spec": spec,
          "ablation": job["ablation"], "data": {"fingerprint": "f1"},
          "task": {"name": "delay", "title": "Delay", "primary": "rmse", "higher_is_better": False}})  # fmt: skip
    if attempt > 1:
        emit({"row": "attempt", "attempt": attempt, "resumed_step": 0, "history": list(history), "time": time.time()})
    if "raises" in labels and training["lr"] > 1e-2:
        raise ValueError("the trial's own mistake")
    if "no memory" in labels and training["lr"] > 1e-2:
        raise MemoryError("of the toy")
    final = abs(math.log10(training["lr"] / 3e-3)) + 0.1 * (spec["basis"]["name"] == "legt")
    nan_from = 2 if "nan" in labels and training["weight_decay"] > 0.5 else EVALUATIONS + 1
    for number in range(1, EVALUATIONS + 1):
        value = final + 1.0 / number if number < nan_from else math.nan
        emit({"row": "metric", "name": "rmse", "value": value, "unit": "", "step": 10 * number, "split": "val",
              "time": time.time(), "attempt": attempt})  # fmt: skip
    emit({"row": "metric", "name": "rmse", "value": final, "unit": "", "step": 90, "split": "test",
          "time": time.time(), "attempt": attempt})  # fmt: skip
    emit({"row": "end", "status": "done", "reason": "", "seconds": 0.0, "peak_memory_bytes": None,
          "attempt": attempt, "time": time.time()})  # fmt: skip
    return "done"
