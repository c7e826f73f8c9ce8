"""Shared by every test: quiet libraries, one thread, and `--resume` for the long forms."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--resume", metavar="FOLDER", help="skip tests that passed at this commit, noted in FOLDER")


def pytest_configure(config: pytest.Config) -> None:
    folder = config.getoption("--resume")
    if folder:
        config.pluginmanager.register(Resume(ROOT / folder))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout


class Resume:
    """Notes each passed test under the commit and its edits, so that `make verify`, cut short, goes on where it was."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        changed = _git("diff", "HEAD") + _git("status", "--porcelain")
        edits = f"-{hashlib.sha256(changed.encode()).hexdigest()[:12]}" if changed else ""
        self.noted = folder / f"{_git('rev-parse', 'HEAD').strip() or 'no-commit'}{edits}"
        self.passed = set(self.noted.read_text().splitlines()) if self.noted.exists() else set()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        before = [item for item in items if item.nodeid in self.passed]
        items[:] = [item for item in items if item.nodeid not in self.passed]
        config.hook.pytest_deselected(items=before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            with self.noted.open("a") as file:
                file.write(report.nodeid + "\n")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets; skips where there is none."""
    folder = Path(os.environ.get("HARNESS_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HARNESS_TEST_DATA")
    return folder
