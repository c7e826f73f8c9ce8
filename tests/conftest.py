"""Shared by every test: quiet libraries, one thread, and `--resume` for the long forms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from verify_log import Verify

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--resume", metavar="FOLDER", help="as `make verify`; what passed is noted in FOLDER")


def pytest_configure(config: pytest.Config) -> None:
    folder = config.getoption("--resume")
    if folder:
        config.pluginmanager.register(Verify(ROOT / folder))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets; skips where there is none."""
    folder = Path(os.environ.get("HARNESS_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HARNESS_TEST_DATA")
    return folder
