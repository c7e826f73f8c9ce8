"""Which MLflow store, how to reach it, and how to make it ready. Credentials come from the environment alone."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentProblem, UsageError

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""MLflow repeats a call whose answer was lost, and a creation repeated is a second run. We look before we repeat."""
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
"""Seconds that one call may take, of MLflow's 120: sixteen writers at once keep a small server busy for more than 10.
No trial waits for a call, and the end of a sweep not for all of it. A value that the user set is kept."""
WHOLE = {"MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false"}
"""A record is small; MLflow asks before each download whether it may come in parts. What the user set is kept."""


def default(results: Path) -> str:
    """The SQLite store that belongs to a results folder: `results/mlflow.db`."""
    return f"sqlite:///{(results / 'mlflow.db').resolve()}"


def resolve(uri: str | None, results: Path) -> str:
    """The store to use: `uri`, else MLFLOW_TRACKING_URI, else the results folder's own.

    Raises UsageError for a URI that MLflow does not serve.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or default(results)
    scheme = uri.partition("://")[0].partition("+")[0]
    if "://" not in uri or scheme not in SCHEMES:
        raise UsageError(
            f"The tracking URI '{shown(uri)}' is no store that MLflow serves (it gave up plain folders). "
            f"Give http://host:port, sqlite:///path/to/mlflow.db or postgresql://host/database."
        )
    return uri


def shown(text: str) -> str:
    """`text` without the user and password of any address in it: fit to print, log or record."""
    text = re.sub(r"(//)[^/\s]*@", r"\1", text)
    # A password with an unescaped slash in it; `host:5000/` is none.
    text = re.sub(r"(//)[^/\s:]+:(?!\d+(?:/|\s|$))\S*@", r"\1", text)
    return re.sub(r"(?i)\b(password|passwd|pwd|token)=[^&\s]+", r"\1=***", text)


def reason(problem: BaseException) -> str:
    """The first line of an exception, fit to print."""
    lines = shown(str(problem)).strip().splitlines()
    return (lines[0] if lines else type(problem).__name__).removesuffix(".")[:300]


def artifact_location(uri: str, results: Path) -> str | None:
    """Where a new experiment keeps its files: beside a SQLite file, in `results`, or as the server decides (None)."""
    if uri.startswith("http"):
        return None
    file = database_file(uri)
    return ((file.parent if file else results) / "mlartifacts").resolve().as_uri()


def database_file(uri: str) -> Path | None:
    """The file of a SQLite URI, None for any other store."""
    return Path(uri.partition(":///")[2].partition("?")[0]) if uri.startswith("sqlite") else None


def client(uri: str) -> Any:
    """An `MlflowClient` that is silent, sends no telemetry and gives up early. Opens the store."""
    _configure()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def artifacts(uri: str, location: str) -> Any:
    """The repository of the files at `location`, a run's `artifact_uri`; the client would ask for that once more."""
    _configure()
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(location, tracking_uri=uri)


def prepare(uri: str) -> None:
    """Create or upgrade the store; the driver calls this once, before any worker touches it.

    A fresh SQLite file that several processes open at once is left broken, so its making is locked; one
    of an older MLflow is copied to `<file>.before-upgrade` and upgraded. Raises EnvironmentProblem.
    """
    file = database_file(uri)
    try:
        if file is None:
            if not uri.startswith("http"):
                _knock(uri)
            client(uri).search_experiments(max_results=1)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file.parent):
            _open_file(uri, file)
    except EnvironmentProblem:
        raise
    except Exception as problem:
        raise EnvironmentProblem(_sentence(uri, problem)) from None


def _configure() -> None:
    """What must be set before mlflow is imported."""
    os.environ.update(QUIET | ONCE)
    for name, value in (PATIENCE | WHOLE).items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow.store.db.utils", "urllib3.connectionpool"):
        # Their errors are raised as well, and told in a sentence; a log would print tracebacks.
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _knock(uri: str) -> None:
    """Raise when the database server does not answer; MLflow itself would try for 100 s before it says so."""
    _configure()
    from mlflow.store.db.utils import create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _open_file(uri: str, file: Path) -> None:
    _configure()
    from mlflow.store.db.utils import _get_latest_schema_revision

    if not file.exists():
        _make_file(file)
    # MLflow upgrades some older files unasked as it opens them, so the copy is made before.
    if _revision(file) not in (None, _get_latest_schema_revision()):
        import mlflow.db

        kept = file.with_name(f"{file.name}.before-upgrade")
        shutil.copy2(file, kept)
        try:
            mlflow.db.upgrade.callback(uri)
        except Exception:
            kept.unlink()
            raise
    client(uri).search_experiments(max_results=1)


def _make_file(file: Path) -> None:
    """Make a database beside `file` and renamed when whole; half of one, left by a killed process, never opens."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    beside = file.with_name(f"{file.name}.making")
    beside.unlink(missing_ok=True)
    engine = create_sqlalchemy_engine(f"sqlite:///{beside.resolve()}")
    _initialize_tables(engine)
    engine.dispose()
    beside.replace(file)


def _revision(file: Path) -> str | None:
    """The schema revision of a SQLite file; None for a fresh one and for one that is no MLflow database."""
    if not file.exists():
        return None
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
        try:
            return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])
        except (sqlite3.Error, TypeError):
            return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the folder itself is the lock, so nothing is left behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sentence(uri: str, problem: Exception) -> str:
    text, where = str(problem), shown(uri)
    if "Invalid Host header" in text:
        host = where.partition("://")[2].partition("/")[0]
        return f"The MLflow server {where} refuses its own name; start it with --allowed-hosts '{host}'."
    if "error code 401" in text or "Unauthorized" in text or "You are not authenticated" in text:
        return (
            f"The MLflow server {where} refuses these credentials; "
            f"set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN)."
        )
    if "locate revision" in text:
        return f"The database {where} was made by a newer MLflow than this one; update MLflow."
    if "out-of-date database schema" in text:
        return f"The database {where} was made by an older MLflow; run `mlflow db upgrade` on it."
    if uri.startswith("http"):
        return f"No MLflow server answers at {where} ({reason(problem)}); start it, or correct the tracking URI."
    return f"The MLflow store {where} cannot be opened ({reason(problem)}); correct the tracking URI."
