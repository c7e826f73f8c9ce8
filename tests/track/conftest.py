"""A SQLite store per test, copied from one that is prepared once: making one takes 1.5 s."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.track import store


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    store.prepare(store.default(folder))
    return folder / "mlflow.db"


@pytest.fixture
def results(template: Path, tmp_path: Path) -> Path:
    """A results folder with a prepared store of its own."""
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(template, folder / "mlflow.db")
    return folder


@pytest.fixture
def uri(results: Path) -> str:
    return store.default(results)


@pytest.fixture
def folder(results: Path) -> Path:
    """The records' folder of one ablation."""
    return results / "delay"


@pytest.fixture(autouse=True)
def no_tracking_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
