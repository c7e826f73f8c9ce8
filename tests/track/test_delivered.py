"""What is delivered is known without MLflow, and MLflow says the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from track_records import FOLDER, done

from harness.track import delivered, push, store
from harness.track.folder import Folder
from harness.track.runs import Runs


def test_a_glance_sees_what_mlflow_remembers(folder: Path, uri: str) -> None:
    done(folder, 1)
    assert delivered.glance(uri, FOLDER) == ""
    push(folder, uri)
    assert delivered.glance(uri, FOLDER) == Runs(store.client(uri), FOLDER, None).remembered != ""


def test_a_delivered_folder_is_passed_over_without_mlflow(
    folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(folder, 1)
    push(folder, uri)
    monkeypatch.setattr(store, "prepare", lambda uri: pytest.fail("MLflow was asked"))
    again = Folder(folder, uri, thorough=False)
    again.ship(final=True, deadline=float("inf"))
    assert again.undelivered() == {}


def test_a_store_that_is_no_database_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    assert delivered.glance(store.default(tmp_path), FOLDER) == ""
    assert delivered.glance("http://127.0.0.1:5000", FOLDER) == ""
