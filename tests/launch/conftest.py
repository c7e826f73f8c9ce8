"""Shared by the tests of faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from launch_study import STUDY, Make, Study


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes the study of a test."""

    def make(executor: str, fault: str = "slow", store: Path | None = None) -> Study:
        (tmp_path / "faults").mkdir()
        monkeypatch.setenv("HARNESS_FAULTS", str(tmp_path / "faults"))
        (tmp_path / "study.toml").write_text(STUDY % fault)
        return Study(tmp_path, executor, f"sqlite:///{store or tmp_path / 'mlflow.db'}")

    return make
