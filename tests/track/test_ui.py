"""The user interface: one worker on the right store, on this machine only."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from track_records import FOLDER, Reader, done

from harness.errors import EnvironmentProblem, UsageError
from harness.track import command, pull, push, serve, view


def test_the_server_is_lean_and_listens_on_this_machine_only() -> None:
    argv, environment = command("sqlite:////somewhere/mlflow.db", 5000)
    line = " ".join(argv)
    assert "--workers 1" in line
    assert "--host 127.0.0.1" in line
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_password_is_no_argument_of_the_process() -> None:
    argv, _ = command("postgresql://me:hunter2@host/db", 5000)
    assert "hunter2" not in " ".join(argv)


def test_a_server_is_not_served_again() -> None:
    with pytest.raises(UsageError, match="open http://host:5000 in a browser"):
        command("http://me:hunter2@host:5000", 5000)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match="port"):
        command("sqlite:////somewhere/mlflow.db", port)


def test_a_store_that_does_not_exist_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="run an ablation first"):
        serve(f"sqlite:///{tmp_path}/mlflow.db", 5000)
    assert not list(tmp_path.iterdir())


def test_an_experiment_has_a_view_of_its_trials_by_arm(folder: Path, uri: str) -> None:
    done(folder, 1)
    push(folder, uri)
    experiment = Reader(uri).experiment
    shown = json.loads(experiment.tags["mlflow.sharedViewState.harness"])
    columns = ["metrics.`test/rmse`", "tags.`arm.basis`", "tags.`arm.dt`", "tags.`seed`", "tags.`status`"]
    assert shown["selectedColumns"] == columns
    assert shown["columnOrder"][2:-1] == columns
    assert shown["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "arm"}]
    found = Reader(uri).client.search_runs([experiment.experiment_id], shown["searchFilter"])
    assert [run.data.tags["arm"] for run in found] == ["legs · dt 0.001..0.1"]
    assert view.address("http://127.0.0.1:5000", "7") == (
        "http://127.0.0.1:5000/#/experiments/7/runs?viewStateShareKey=harness&workflowType=machine_learning"
    )


@pytest.mark.long
def test_the_server_starts_answers_and_takes_a_push_and_a_pull(folder: Path, uri: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv, environment = command(uri, port)
    process = subprocess.Popen(argv, env={**os.environ, **environment}, start_new_session=True)
    server = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{server}/health")
        done(folder, 1)
        push(folder, server)
        before = Reader(server).everything()
        push(folder, server)
        assert Reader(server).everything() == before
        pull(server, FOLDER, tmp_path / "back")
        (pulled,) = (tmp_path / "back" / FOLDER).iterdir()
        assert pulled.read_bytes() == (folder / pulled.name).read_bytes()
    finally:
        process.terminate()
        process.wait(30)


def _wait(address: str) -> None:
    limit = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert time.monotonic() < limit, "the server did not start"
            time.sleep(0.3)
