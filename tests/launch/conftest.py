"""Shared by the tests of the driver: none runs for ever, and nothing that it started is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from launch_study import STUDY, Make, Study
from launch_toy import HERE, SPAWNED, left

LIMIT_S = 240.0
"""Of a test; the longest takes a third of it on two processors."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Kill what a test that failed, or killed a driver itself, has left."""
    yield
    for driver in SPAWNED:
        for process in left(driver):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        driver.wait(10)
    SPAWNED.clear()


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes the study of a test."""

    def make(executor: str, fault: str = "slow", store: Path | None = None) -> Study:
        (tmp_path / "faults").mkdir()
        monkeypatch.setenv("HARNESS_FAULTS", str(tmp_path / "faults"))
        (tmp_path / "study.toml").write_text(STUDY % fault)
        return Study(tmp_path, executor, f"sqlite:///{store or tmp_path / 'mlflow.db'}")

    return make
