"""The store's address, its making, and the sentence for each way in which it cannot be had."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import EnvironmentProblem, UsageError
from harness.track import store


def test_the_default_store_lies_in_the_results_folder(tmp_path: Path) -> None:
    assert store.resolve(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_flag_wins_over_the_environment_and_that_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://environment:5000")
    assert store.resolve(None, tmp_path) == "http://environment:5000"
    assert store.resolve("http://flag:5000", tmp_path) == "http://flag:5000"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///somewhere/mlruns", "mlruns", "ftp://host/x", "localhost:5000"])
def test_an_address_that_mlflow_does_not_serve_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tracking URI"):
        store.resolve(uri, tmp_path)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://me:secret@host:5000/path", "http://host:5000/path"),
        ("postgresql+psycopg2://me:sec@ret@host/db", "postgresql+psycopg2://host/db"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db?user=me&password=***"),
        ("failed: https://me:secret@host/api with 500", "failed: https://host/api with 500"),
        ("http://me:sec/ret@host:5000/path", "http://host:5000/path"),
        ("http://host:5000/api/trial@3 failed", "http://host:5000/api/trial@3 failed"),
        ("sqlite:////results/mlflow.db", "sqlite:////results/mlflow.db"),
    ],
)
def test_what_is_shown_of_an_address_holds_no_credentials(text: str, clean: str) -> None:
    assert store.shown(text) == clean


def test_preparing_twice_is_preparing_once(results: Path, uri: str) -> None:
    before = (results / "mlflow.db").read_bytes()
    store.prepare(uri)
    assert (results / "mlflow.db").read_bytes() == before


def test_artifacts_lie_beside_the_database_and_nothing_else_is_left(results: Path, uri: str) -> None:
    store.prepare(uri)
    assert store.artifact_location(uri, Path("elsewhere")) == (results / "mlartifacts").as_uri()
    assert {path.name for path in results.iterdir()} == {"mlflow.db"}


def test_a_server_decides_for_itself_where_artifacts_lie() -> None:
    assert store.artifact_location("https://host", Path("results")) is None


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, " * 100)
    with pytest.raises(EnvironmentProblem, match="cannot be opened"):
        store.prepare(store.default(tmp_path))


def test_a_database_of_an_older_mlflow_is_upgraded_and_kept_beside(tmp_path: Path) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow import MlflowClient
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    uri = store.default(tmp_path)
    config = _get_alembic_config(uri)
    head = ScriptDirectory.from_config(config).get_current_head()
    older = ScriptDirectory.from_config(config).get_revision(head).down_revision
    Base.metadata.create_all(create_engine(uri))
    command.upgrade(config, older)
    store.prepare(uri)
    assert MlflowClient(uri).search_experiments()
    assert (tmp_path / "mlflow.db.before-upgrade").is_file()


def test_a_database_of_a_newer_mlflow_is_left_alone(results: Path, uri: str) -> None:
    with closing(sqlite3.connect(results / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    before = (results / "mlflow.db").read_bytes()
    with pytest.raises(EnvironmentProblem, match="newer MLflow"):
        store.prepare(uri)
    assert {path.name: path.read_bytes() for path in results.iterdir()} == {"mlflow.db": before}


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        ("API request failed with error code 403: Invalid Host header - possible DNS rebinding", "--allowed-hosts"),
        ("API request to endpoint failed with error code 401", "MLFLOW_TRACKING_USERNAME"),
        ("Connection refused", "No MLflow server answers"),
    ],
)
def test_each_refusal_of_a_server_names_its_cure(problem: str, advice: str) -> None:
    assert advice in store._sentence("http://host:5000", RuntimeError(problem))


def test_the_users_own_time_outs_are_kept(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    store.client(uri)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


def test_importing_the_room_does_not_import_mlflow() -> None:
    code = "import sys, harness.track; sys.exit(any(name in sys.modules for name in ('mlflow', 'matplotlib', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.long
def test_eight_processes_that_prepare_one_fresh_store_all_succeed(tmp_path: Path) -> None:
    code = "import sys; from harness.track import prepare; prepare(sys.argv[1])"
    argv = [sys.executable, "-c", code, store.default(tmp_path)]
    assert [process.wait() for process in [subprocess.Popen(argv) for _ in range(8)]] == [0] * 8


def test_a_process_killed_while_making_the_store_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    code = f"from harness.track import store; store.prepare({uri!r})"
    maker = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2])
    beside = tmp_path / "mlflow.db.making"
    while not (beside.exists() and beside.stat().st_size > 20_000):
        assert maker.poll() is None, "it was made before it could be killed"
        time.sleep(0.001)
    maker.kill()
    maker.wait()
    assert not (tmp_path / "mlflow.db").exists()
    store.prepare(uri)
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db"}
