"""Sweeps through the command line beside a real `mlflow server` that is dead, slow, killed or refuses.

After each the same command completes the plan and delivers it; so does `harness push`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from track_records import Reader, shown, told
from track_server import ADMIN, Line, Server, guarded, log_in

from harness.records import scan
from harness.track import store

pytestmark = [pytest.mark.long, pytest.mark.fault]
ROOT = Path(__file__).resolve().parents[2]
STUDY = """
question = "Which?"
expect = "LegT."
repeats = 2
[fixed]
task = {name = "delay", length = 64, lag = 16, evaluation_examples = 32}
dt = {min = 0.125, max = 0.125}
model = {d_model = 4, d_state = 8, n_layers = 1}
training = {steps = 2000, batch_size = 16, evaluations = 40}
[compare]
basis = ["legs", "legt"]
"""
TRIALS = 4


Sweep = Callable[..., subprocess.Popen[str]]
"""From the URI of a store and further arguments to `harness run study.toml`, always the same command."""


@pytest.fixture
def server(results: Path) -> Iterator[Server]:
    with Server(store.default(results), results / "mlartifacts") as started:
        yield started


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of the records of a sweep that is still to run."""
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "here" / "study"


@pytest.fixture(params=["local", "ray"])
def sweep(request: pytest.FixtureRequest, study: Path) -> Sweep:
    def begin(uri: str, *more: str) -> subprocess.Popen[str]:
        return start(study, "run", "study.toml", "--executor", request.param, *more, uri=uri)

    return begin


def start(study: Path, *arguments: str, uri: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness", *arguments, "--results", str(study.parent), "--tracking-uri", uri]
    return subprocess.Popen(
        command, cwd=study.parents[1], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=500)
    assert process.returncode == 0, text
    return text


def rerun(study: Path, sweep: Sweep, uri: str) -> None:
    """The same command again, and `harness push` where it says so: a rerun, too, waits 30 s for MLflow and no more."""
    if "`harness push study` delivers them" in ended(sweep(uri)):
        ended(start(study, "push", "study", uri=uri))


def until(happened: Callable[[], bool], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.05)


def check(study: Path, uri: str) -> None:
    """Every trial is done, has one run below one parent, and its run is its record, without gap or repeat."""
    assert [state.status for state in scan(study).values()] == ["done"] * TRIALS
    rows = told(study)
    assert shown(uri, study.name) == rows
    for points in rows.values():
        assert points.total() == len({(key, step) for key, step, *_ in points})
    assert len(Reader(uri, study.name).runs("sweep")) == 1
    assert {run.info.status for run in Reader(uri, study.name).runs()} == {"FINISHED"}


def test_a_server_that_is_dead_at_the_start(study: Path, server: Server, sweep: Sweep) -> None:
    server.kill()
    text = ended(sweep(server.uri))
    assert "`harness push study` delivers them" in text
    assert "No MLflow server answers" in text
    server.start()
    rerun(study, sweep, server.uri)
    check(study, server.uri)


def test_a_server_that_is_killed_in_mid_sweep_and_back_later(study: Path, server: Server, sweep: Sweep) -> None:
    driver = sweep(server.uri, "--slots", "1")
    until(lambda: any(study.glob("*.jsonl")) and (found := Reader(server.uri, study.name)).experiment is not None
          and len(found.runs()) > 0)  # fmt: skip
    server.kill()
    finished = len(list(study.glob("*.jsonl")))
    until(lambda: len(list(study.glob("*.jsonl"))) > finished)
    server.start()
    ended(driver)
    # The sweep may be over before the mirror has tried again.
    rerun(study, sweep, server.uri)
    check(study, server.uri)


def test_a_server_that_takes_two_seconds_for_each_call(study: Path, server: Server, sweep: Sweep) -> None:
    line = Line(server.port, delay_s=2.0)
    text = ended(sweep(line.uri))
    waited = time.time() - max(path.stat().st_mtime for path in study.glob("*.jsonl"))
    # The mirror's patience at the end of a sweep, and as much for an interpreter to leave on a crowded machine.
    assert waited < 2 * 30.0
    # A sweep that itself takes long enough delivers all.
    assert ("delivers them" in text) == ("(it took longer than 30 s)" in text)
    line.delay_s = 0.0
    rerun(study, sweep, line.uri)
    line.close()
    check(study, server.uri)


def test_a_server_that_refuses_authentication(
    study: Path, results: Path, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch, (ADMIN[0], "mistaken"))
    with guarded(store.default(results), results / "mlartifacts", f"sqlite:///{results / 'users.db'}") as server:
        assert "refuses these credentials" in ended(sweep(server.uri))
        log_in(monkeypatch, ADMIN)
        rerun(study, sweep, server.uri)
        check(study, server.uri)


def test_a_server_that_rejects_its_host_name(study: Path, results: Path, sweep: Sweep) -> None:
    server = Server(store.default(results), results / "mlartifacts", "--allowed-hosts", "elsewhere.example")
    with server:
        text = ended(sweep(server.uri))
        assert f"start it with --allowed-hosts '127.0.0.1:{server.port}'" in text
        server.kill()
        server.arguments[-1] = f"127.0.0.1:{server.port}"
        server.start()
        rerun(study, sweep, server.uri)
        check(study, server.uri)
