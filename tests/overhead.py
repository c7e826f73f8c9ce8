"""What the harness itself costs. `make overhead` measures all of it and writes results/overhead.json.

Every figure is of the command line as a user types it, in a fresh folder. With names of parts, only those are measured
anew: `python tests/overhead.py plan rerun`. Wall clocks need a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import environment, records, trial
from harness.ablation import read
from harness.launch.machine import cpus
from harness.plan import plan

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "results" / "overhead.json"
SLOTS = 2
# Plans and reruns compute on one processor, so that their processor time is their duration on a machine at rest.
LIMITS = {
    "a trivial trial, local, s": 0.3,
    "a trivial trial, ray, s": 0.3,
    "added to a 60 s trial, local, share": 0.03,
    "added to a 60 s trial, ray, share": 0.03,
    "added to a 60 s trial by a slow server, share": 0.02,
    "added to a 60 s trial by a dead server, share": 0.02,
    "plan of 100,000 trials, s": 5.0,
    "rerun of 5,000 finished trials, s": 5.0,
    "rerun of 5,000 finished trials without MLflow, s": 5.0,
}
STUDY = """
question = "What does the harness cost?"
expect = "Little."
repeats = {repeats}
[fixed]
task = {{name = "delay", length = {length}, lag = 16, evaluation_examples = 32}}
model = {{d_model = 4, d_state = {state}, n_layers = 1}}
training = {{steps = {steps}, batch_size = 16, evaluations = 10}}
[compare]
"""
TINY = {"length": 32, "state": 8, "steps": 1}
LONG = {"length": 256, "state": 64}
SHORT = 80
"""Trials of ten steps, which have as many evaluations as the long ones."""
Figures = dict[str, Any]
Rows = list[records.Row]


def study(folder: Path, compare: str = 'basis = ["legs"]', **given: int) -> Path:
    path = folder / "study.toml"
    path.write_text(STUDY.format(**given) + compare)
    return path


def harness(folder: Path, *arguments: str) -> Figures:
    """Wall clock and processor time, that of all its processes, of one command in `folder`, which must succeed."""
    began = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
    )  # fmt: skip
    assert process.stdout is not None
    said = process.stdout.read()
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    assert process.returncode == 0, said
    return {"began": began, "wall_s": time.time() - began, "cpu_s": used.ru_utime + used.ru_stime}


def sweep(folder: Path, path: Path, executor: str, mlflow: bool, uri: str = "") -> Figures:
    """One `harness run`, its wall clock taken apart by the times in the records; `uri` where MLflow is a server."""
    choice = ["--executor", executor, "--slots", str(SLOTS), "--mlflow" if mlflow else "--no-mlflow"]
    choice += ["--tracking-uri", uri] if uri else []
    took = harness(folder, "run", str(path), *choice)
    every = [records.read(one) for one in (folder / "results" / "study").glob("*.jsonl")]
    assert {one.status for one in every} == {"done"}
    first = min(one.header["created"] for one in every)
    last = max(one.end["time"] for one in every if one.end)
    return {
        "trials": len(every),
        "wall_s": took["wall_s"],
        "before_the_first_trial_s": first - took["began"],
        "trials_s": last - first,
        "after_the_last_trial_s": took["began"] + took["wall_s"] - last,
    }


def trivial() -> Figures:
    """200 trials of one training step: wall clock of the whole command, by trial."""
    found = {}
    for executor, mlflow in itertools.product(("local", "ray"), (False, True)):
        with tempfile.TemporaryDirectory() as name:
            one = sweep(Path(name), study(Path(name), repeats=200, **TINY), executor, mlflow)
            name = f"{executor}, {'with' if mlflow else 'without'} MLflow"
            found[name] = one | {"seconds_a_trial": one["wall_s"] / one["trials"]}
    return found


def long(seconds: float = 60.0) -> Figures:
    """Trials of about `seconds`, two in each slot, by `harness run` with MLflow, and in as many plain processes.

    A plain process calls `trial.run` and keeps no record and no checkpoint. Wall clocks of so long a time drift with
    the machine by more than what is looked for. So it is taken apart: of what others take from a trial while it
    computes, each trial's own rows tell, by the share of a processor that it got; and what it does itself for its
    start, its record and its checkpoints is in the time of a short trial of as many rows. Both are of the later trials,
    because during the first ones the driver imports MLflow and makes its database, once for a sweep; what others take
    from the first ones stands beside.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps = lasting(folder, seconds)
        shares, walls, short = {}, {}, {}
        for kind in ("plain", "local", "ray"):
            every = trials(folder / kind, kind, repeats=2 * SLOTS, steps=steps)
            shares[kind], walls[kind] = [got(rows) for rows in every], [lasted(rows) for rows in every]
            short[kind] = slot_seconds(trials(folder / f"{kind}-short", kind, repeats=SHORT, steps=10))
    return {
        "steps": steps,
        "trials_at_once": SLOTS,
        "seconds_of_each_trial": walls,
        "processor_share_of_each_trial": shares,
        "slot_seconds_of_a_short_trial": short,
        "others_take_share": {kind: later(shares["plain"]) / later(shares[kind]) - 1 for kind in ("local", "ray")},
        "of_the_first_share": {kind: first(shares["plain"]) / first(shares[kind]) - 1 for kind in ("local", "ray")},
        "own_s": {kind: short[kind] - short["plain"] for kind in ("local", "ray")},
    }


def server(seconds: float = 60.0) -> Figures:
    """Trials of about `seconds`, two in each slot, by `harness run` without MLflow, and with a slow and a dead server.

    The slow server takes 2 s for each call, the dead one takes calls and answers none. A trial does nothing with a
    server itself; what the driver takes from it is in the share of a processor that it got, compared as in `long`. What
    the end of a sweep waits for such a server is no trial's time, and stands beside.
    """
    from track.track_server import Line, Server

    with tempfile.TemporaryDirectory() as name, socket.socket() as silent:
        folder = Path(name)
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        with Server(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts") as real:
            slow = Line(real.port, delay_s=2.0)
            uris = {"none": "", "slow": slow.uri, "dead": f"http://127.0.0.1:{silent.getsockname()[1]}"}
            steps = lasting(folder, seconds)
            shares, walls, waits = {}, {}, {}
            for kind, uri in uris.items():
                own = folder / kind
                own.mkdir()
                path = study(own, repeats=2 * SLOTS, steps=steps, **LONG)
                waits[kind] = sweep(own, path, "local", bool(uri), uri)["after_the_last_trial_s"]
                every = recorded(own)
                shares[kind], walls[kind] = [got(rows) for rows in every], [lasted(rows) for rows in every]
    return {
        "steps": steps,
        "trials_at_once": SLOTS,
        "calls": slow.calls,
        "seconds_of_each_trial": walls,
        "processor_share_of_each_trial": shares,
        "after_the_last_trial_s": waits,
        "others_take_share": {kind: later(shares["none"]) / later(shares[kind]) - 1 for kind in ("slow", "dead")},
    }


def trials(folder: Path, kind: str, repeats: int, steps: int) -> list[Rows]:
    """The rows of each trial of a study, in the order in which they began, by `kind`: plain, local or ray."""
    folder.mkdir()
    path = study(folder, repeats=repeats, steps=steps, **LONG)
    if kind == "plain":
        return alone(path)
    sweep(folder, path, kind, mlflow=True)
    return recorded(folder)


def lasting(folder: Path, seconds: float) -> int:
    """Steps that take so long in a plain process, one in each slot."""
    every = alone(study(folder, repeats=2 * SLOTS, steps=400, **LONG))
    return round(400 * seconds / statistics.mean(lasted(rows) for rows in every[SLOTS:]))


def later(every: list[float]) -> float:
    """The mean of the second trials of each slot."""
    return statistics.mean(every[SLOTS:])


def first(every: list[float]) -> float:
    """The mean of the first trial of each slot."""
    return statistics.mean(every[:SLOTS])


def got(rows: Rows) -> float:
    """The share of a processor that a trial got, the mean between its evaluations."""
    return statistics.mean(float(row["value"]) for row in rows if row.get("name") == "cpu_utilization_percentage") / 100


def began(rows: Rows) -> float:
    return float(next(row["created"] for row in rows if row["row"] == "header"))


def lasted(rows: Rows) -> float:
    """Seconds from header to end."""
    return float(rows[-1]["time"]) - began(rows)


def slot_seconds(every: list[Rows]) -> float:
    """What each trial of the later half takes of its slot, with its start."""
    half = every[len(every) // 2 :]
    return (max(float(rows[-1]["time"]) for rows in half) - began(half[0])) * SLOTS / len(half)


def recorded(folder: Path) -> list[Rows]:
    """The rows of each trial of the study in `folder`, in the order in which they began."""
    paths = (folder / "results" / "study").glob("*.jsonl")
    return sorted(([json.loads(line) for line in path.read_text().splitlines()] for path in paths), key=began)


def alone(path: Path) -> list[Rows]:
    """The rows of each trial of a study, in the order in which they began, in a plain process for each slot."""
    command, variables = [sys.executable, __file__, "--job", str(path)], {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([*command, str(slot)], stdout=subprocess.PIPE, text=True, env=variables)
        for slot in range(SLOTS)
    ]
    return sorted((rows for process in processes for rows in json.loads(process.communicate()[0])), key=began)


def job(path: Path, slot: int) -> None:
    """What a plain process does: its share of the trials, whose rows it says at the end."""
    every = []
    for one in list(plan(read(path)).jobs())[slot::SLOTS]:
        rows: Rows = []
        assert trial.run(one, rows.append, threads=1) == "done"
        every.append(rows)
    print(json.dumps(every))


def planned() -> Figures:
    """`harness plan` of 100,000 trials: few arms of many seeds, and many arms of few."""
    lr = ", ".join(f"{0.0001 * number:.4f}" for number in range(1, 251))
    files = {
        "4 arms": (25_000, 'basis = ["legs", "legt", "fout", "lagt"]'),
        "1,000 arms": (100, f'basis = ["legs", "legt", "fout", "lagt"]\ntraining.lr = [{lr}]'),
    }
    found = {}
    for name, (repeats, compare) in files.items():
        with tempfile.TemporaryDirectory() as folder:
            path = study(Path(folder), compare, repeats=repeats, **TINY)
            found[name] = harness(Path(folder), "plan", str(path))
    return {name: {key: one[key] for key in ("wall_s", "cpu_s")} for name, one in found.items()}


def rerun(count: int = 5_000) -> Figures:
    """`harness run` of a finished sweep, with MLflow, to which all was delivered, and without."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = study(folder, 'basis = ["legs", "legt", "fout", "lagt"]', repeats=count // 4, **TINY)
        finish(folder, path)
        found = {choice: harness(folder, "run", str(path), f"--{choice}") for choice in ("mlflow", "no-mlflow")}
    return {name: {key: one[key] for key in ("wall_s", "cpu_s")} for name, one in found.items()}


def finish(folder: Path, path: Path) -> None:
    """Give every trial of a study the rows of one that was really run, and note in MLflow that it has them all."""
    from harness.track import store
    from harness.track.folder import _fingerprint, _stamp
    from harness.track.runs import Runs
    from harness.track.snapshot import files

    results = folder / "results"
    jobs = list(plan(read(path)).jobs())
    rows: list[records.Row] = []
    trial.run(jobs[0], rows.append, threads=1)
    for one in jobs:
        writer = records.Writer(results / "study", one["trial_id"])
        for row in rows:
            about = {"trial_id": one["trial_id"], "spec": one["spec"], "ablation": one["ablation"]}
            writer.write({**row, **about} if row["row"] == "header" else row)
    uri = store.default(results)
    store.prepare(uri)
    stamps = {trial_id: stamp for trial_id, at in files(results / "study").items() if (stamp := _stamp(at))}
    Runs(store.client(uri), "study", store.artifact_location(uri, results)).remember(_fingerprint(stamps))


def verdicts(kept: Figures) -> Figures:
    """Each figure that has a limit, where what it is made of was measured."""
    parts = {name: part["figures"] for name, part in kept.items()}
    found: dict[str, float] = {}
    for executor in ("local", "ray"):
        if tiny := parts.get("trivial", {}).get(f"{executor}, with MLflow"):
            found[f"a trivial trial, {executor}, s"] = tiny["seconds_a_trial"]
        if "long" in parts:
            own, others = parts["long"]["own_s"][executor] / 60, parts["long"]["others_take_share"][executor]
            found[f"added to a 60 s trial, {executor}, share"] = own + others
    for kind, share in parts.get("server", {}).get("others_take_share", {}).items():
        found[f"added to a 60 s trial by a {kind} server, share"] = share
    if "plan" in parts:
        found["plan of 100,000 trials, s"] = max(one["cpu_s"] for one in parts["plan"].values())
    if "rerun" in parts:
        found["rerun of 5,000 finished trials, s"] = parts["rerun"]["mlflow"]["cpu_s"]
        found["rerun of 5,000 finished trials without MLflow, s"] = parts["rerun"]["no-mlflow"]["cpu_s"]
    return {name: {"value": value, "limit": LIMITS[name], "met": value < LIMITS[name]} for name, value in found.items()}


def rounded(value: Any) -> Any:
    """Four digits of every figure."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    parts: dict[str, Callable[[], Figures]] = {
        "trivial": trivial, "long": long, "server": server, "plan": planned, "rerun": rerun
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        job(Path(given.job[0]), int(given.job[1]))
        return
    kept: Figures = json.loads(OUT.read_text())["parts"] if OUT.exists() else {}
    for name in given.parts or parts:
        began = time.monotonic()
        kept[name] = {"figures": parts[name](), **made()}
        print(f"{name}: {time.monotonic() - began:.0f} s")
        whole = {"command": "make overhead", "limits": verdicts(kept), "parts": kept}
        OUT.write_text(json.dumps(rounded(whole), indent=1) + "\n")
    print(json.dumps(rounded(verdicts(kept)), indent=1))


def made() -> Figures:
    """When, of which commit and on what a part was measured."""
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"day": day, "processors": cpus(), **environment.describe(1)}


if __name__ == "__main__":
    main()
