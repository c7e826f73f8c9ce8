"""MLflow on PostgreSQL with authentication on: sixteen writers at once, and not a row lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from track_postgres import PASSWORD, postgres
from track_records import FOLDER, Reader, done, metric, shown, told, trial_id, write
from track_server import ADMIN, Server, free_port, guarded, log_in

from harness.errors import EnvironmentProblem
from harness.track import pull, push

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
WRITERS, TRIALS, STEPS = 16, 2, 1000
"""Each writer has its own trials; 1,000 steps are more than one request takes."""
WRITER = ("researcher", "researcher-hunter2")
CACHE = "auth_cache_ttl_seconds = 60"
"""What the README advises for a server that asks for passwords and has many writers."""


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, str]]:
    with postgres("mlflow", "users", "bare") as uris:
        yield uris


@pytest.fixture(scope="module")
def server(databases: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With an administrator and one plain user, who may read what others made and write what is his."""
    artifacts = tmp_path_factory.mktemp("authenticated") / "artifacts"
    with guarded(databases["mlflow"], artifacts, databases["users"], CACHE) as started:
        with pytest.MonkeyPatch.context() as patch:
            log_in(patch, ADMIN)
            from mlflow.server.auth.client import AuthServiceClient

            AuthServiceClient(started.uri).create_user(*WRITER)
        yield started


@pytest.fixture(autouse=True)
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch, WRITER)


def harness(results: Path, server: Server, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness", *arguments, "--results", str(results), "--tracking-uri", server.uri]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ)
    )


def said(processes: list[subprocess.Popen[str]]) -> list[str]:
    texts = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(texts)
    return texts


def test_sixteen_machines_push_their_parts_of_one_sweep_at_once(server: Server, tmp_path: Path) -> None:
    parts = [tmp_path / str(part) for part in range(WRITERS)]
    for part, results in enumerate(parts):
        for trial in range(TRIALS):
            done(results / FOLDER, part * TRIALS + trial, steps=STEPS)
    said([harness(results, server, "push", FOLDER) for results in parts])

    wanted = {trial: rows for results in parts for trial, rows in told(results / FOLDER).items()}
    assert len(wanted) == WRITERS * TRIALS
    assert shown(server.uri) == wanted
    (parent,) = Reader(server.uri).runs("sweep")
    assert (parent.info.status, parent.data.tags["status"]) == ("FINISHED", f"{WRITERS * TRIALS} done")

    said([harness(tmp_path / "back", server, "pull", FOLDER)])
    records = {path.name: path.read_bytes() for results in parts for path in (results / FOLDER).glob("*.jsonl")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "back" / FOLDER).glob("*.jsonl")} == records

    before = Reader(server.uri).everything()
    push(tmp_path / "back" / FOLDER, server.uri)
    assert Reader(server.uri).everything() == before
    assert len(pull(server.uri, FOLDER, tmp_path / "back").unchanged) == WRITERS * TRIALS


def test_a_wrong_password_is_one_sentence_and_the_right_one_delivers(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "wrong-password"
    done(folder, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "mistaken")
    with pytest.raises(EnvironmentProblem, match="refuses these credentials; set MLFLOW_TRACKING_USERNAME"):
        push(folder, server.uri)
    log_in(monkeypatch, WRITER)
    push(folder, server.uri)
    assert shown(server.uri, folder.name) == told(folder)


def test_a_database_without_a_server_takes_a_push_and_gives_it_back(databases: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "results" / FOLDER
    done(folder, 1)
    push(folder, databases["bare"])
    assert shown(databases["bare"]) == told(folder)
    assert pull(databases["bare"], FOLDER, tmp_path / "back").written == (trial_id(1),)


def test_a_database_that_refuses_or_is_gone_is_one_sentence_without_the_password(
    databases: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / FOLDER
    done(folder, 1)
    for wrong in (
        databases["bare"].replace(PASSWORD, "mistaken-hunter2"),
        f"postgresql+psycopg2://me:mistaken-hunter2@127.0.0.1:{free_port()}/x",
    ):
        with pytest.raises(EnvironmentProblem, match="cannot be opened") as refused:
            push(folder, wrong)
        assert "hunter2" not in str(refused.value)


def test_an_experiment_of_another_user_can_be_pulled_and_not_pushed_to(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "of-another"
    done(folder, 1)
    log_in(monkeypatch, ADMIN)
    push(folder, server.uri)
    log_in(monkeypatch, WRITER)
    assert pull(server.uri, folder.name, tmp_path / "back").written == (trial_id(1),)
    write(folder, 2, metric(0))
    with pytest.raises(EnvironmentProblem, match="Permission denied"):
        push(folder, server.uri)
    assert list(shown(server.uri, folder.name)) == [trial_id(1)]
