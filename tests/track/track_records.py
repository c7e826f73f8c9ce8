"""Records for the tests of the track room, written row by row with the real writer, and readers of MLflow."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from harness.records import Row, Writer, read
from harness.track import store
from harness.track.snapshot import files

TEXT = 'question = "q?"\nexpect = "e."\n'
T0 = 1_700_000_000.0
FOLDER = "delay"


def trial_id(number: int) -> str:
    return f"{number:012x}"


def header(number: int, basis: str = "legs", text: str = TEXT) -> Row:
    return {
        "row": "header",
        "schema": 1,
        "trial_id": trial_id(number),
        "created": T0 + number,
        "harness": "0.1.0",
        "spec": {
            "kind": "train",
            "seed": number,
            "task": {"name": "delay", "version": 1, "length": 100},
            "basis": {"name": basis, "version": 1},
            "dt": {"name": "log_uniform", "version": 1, "min": 0.001, "max": 0.1, "per": "head"},
            "model": {"name": "s4", "version": 1, "structure": "dplr", "rank": None, "train_A": True},
            "backend": {"name": "auto", "version": 1},
            "training": {"name": "adamw", "version": 1, "lr": 0.01},
        },
        "ablation": {
            "name": FOLDER,
            "question": "q?",
            "expect": "e.",
            "text": text,
            "kind": "train",
            "primary": "basis: legt - legs",
            "compare": ["basis", "dt"],
            "levels": {"basis": ["legs", "legt"], "dt": ["0.001..0.1"]},
            "arm": {"basis": basis, "dt": "0.001..0.1"},
            "repeats": 3,
            "tolerance": None,
            "labels": ["small model"],
        },
        "task": {"name": "delay", "title": "Delay", "primary": "rmse"},
        "data": {"fingerprint": "f" * 64, "kind": "generated", "source": "band-limited noise", "labels": []},
        "backend": "krylov",
        "git": {"commit": "c" * 40, "dirty": False},
        "versions": {"python": "3.11"},
        "device": {"kind": "cpu", "name": "a processor", "threads": 1},
        "plugins": [],
    }


def metric(step: int, value: float | None = None, name: str = "loss", attempt: int = 1) -> Row:
    value = 1.0 / (1 + step) if value is None else value
    when = T0 + 100 * attempt + step + 0.123
    return {
        "row": "metric",
        "name": name,
        "value": value,
        "unit": "",
        "step": step,
        "split": "train",
        "time": when,
        "attempt": attempt,
    }


def checkpoint(step: int) -> Row:
    return {"row": "checkpoint", "step": step, "time": T0 + step, "attempt": 1}


def attempt(number: int, step: int) -> Row:
    history = [{"status": "error", "reason": "r"}]
    return {"row": "attempt", "attempt": number, "resumed_step": step, "history": history, "time": T0 + 500}


def end(status: str = "done", reason: str = "", attempt: int = 1) -> Row:
    return {
        "row": "end",
        "status": status,
        "reason": reason,
        "seconds": 9.0,
        "peak_memory_bytes": 1,
        "attempt": attempt,
        "time": T0 + 1000 * attempt,
    }


ARRAYS: tuple[Row, ...] = (
    {"row": "array", "name": "kernel/initial", "values": [[math.sin(i / 9) for i in range(50)]] * 2},
    {"row": "array", "name": "kernel/final", "values": [[math.cos(i / 9) for i in range(50)]] * 2},
    {"row": "array", "name": "dt/initial", "values": [0.001, 0.01, 0.1]},
    {"row": "array", "name": "dt/final", "values": [0.002, 0.02, 0.05]},
)


def write(folder: Path, number: int, *rows: Row, basis: str = "legs") -> Path:
    """A trial's record: its header and `rows`; the path of the file it became."""
    writer = Writer(folder, trial_id(number))
    for row in (header(number, basis), *rows):
        writer.write(row)
    if rows and rows[-1]["row"] == "end":
        return writer.path
    writer.close()
    return writer.partial


def again(folder: Path, number: int, *rows: Row) -> None:
    """A later attempt at a trial."""
    writer = Writer(folder, trial_id(number))
    for row in rows:
        writer.write(row)
    writer.close()


def done(folder: Path, number: int, basis: str = "legs", steps: int = 3) -> Path:
    return write(folder, number, *[metric(step) for step in range(steps)], *ARRAYS, end(), basis=basis)


def told(folder: Path) -> dict[str, Counter[tuple[object, ...]]]:
    """(key, step, value, ms) of every metric row of every record in `folder`, by trial id."""
    found = {}
    for path in files(folder).values():
        record = read(path)
        rows = [(f"{row['split']}/{row['name']}", row["step"], row["value"], row["time"]) for row in record.metrics()]
        found[record.trial_id] = Counter((key, step, str(value), round(time * 1000)) for key, step, value, time in rows)
    return found


def shown(uri: str, name: str = FOLDER) -> dict[str, Counter[tuple[object, ...]]]:
    """What `told` should be, read from MLflow; of two runs for one trial an error."""
    reader = Reader(uri, name)
    found: dict[str, Counter[tuple[object, ...]]] = {}
    for run in reader.runs():
        trial = run.data.tags["harness.trial_id"]
        assert trial not in found, f"two runs for trial {trial}"
        values = [reader.client.get_metric_history(run.info.run_id, key) for key in run.data.metrics]
        found[trial] = Counter((one.key, one.step, str(one.value), one.timestamp) for key in values for one in key)
    return found


class Reader:
    """What an MLflow store holds of the experiment."""

    def __init__(self, uri: str, name: str = FOLDER) -> None:
        self.client: Any = store.client(uri)
        self.experiment = self.client.get_experiment_by_name(name)

    def runs(self, kind: str = "trial") -> list[Any]:
        runs = self.client.search_runs([self.experiment.experiment_id], f"tags.`harness.kind` = '{kind}'")
        return sorted(runs, key=lambda run: run.info.start_time)

    def run(self, number: int = 1) -> Any:
        (found,) = [run for run in self.runs() if run.data.tags["harness.trial_id"] == trial_id(number)]
        return found

    def history(self, number: int = 1, key: str = "train/loss") -> list[tuple[int, float, int]]:
        """(step, value, ms) of a metric of a trial, by step."""
        found = self.client.get_metric_history(self.run(number).info.run_id, key)
        return sorted((one.step, one.value, one.timestamp) for one in found)

    def artifacts(self, run: Any) -> set[str]:
        found = set()
        for one in self.client.list_artifacts(run.info.run_id):
            inner = self.client.list_artifacts(run.info.run_id, one.path) if one.is_dir else [one]
            found |= {item.path for item in inner}
        return found

    def everything(self) -> dict[str, Any]:
        """All that is stored of the trials and sweeps, by run id: for "nothing changed"."""
        found = {}
        for run in self.runs() + self.runs("sweep"):
            histories = {
                key: [(m.step, m.value, m.timestamp) for m in self.client.get_metric_history(run.info.run_id, key)]
                for key in run.data.metrics
            }
            info = (run.info.status, run.info.start_time, run.info.end_time, run.info.run_name)
            found[run.info.run_id] = (info, dict(run.data.tags), dict(run.data.params), histories)
        return found


def expected(*rows: Row) -> list[tuple[int, float, int]]:
    """What `Reader.history` must give for these metric rows."""
    return sorted((row["step"], row["value"], round(row["time"] * 1000)) for row in rows)
