"""What `make verify` writes down."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from verify_log import ROOT, Verify


def reports(name: str, outcome: str = "passed", longrepr: Any = None) -> list[pytest.TestReport]:
    """The three reports that pytest makes of one test: its set-up, its call and its end."""
    made = []
    for when in ("setup", "call", "teardown"):
        this = outcome if when == "call" else "passed"
        report = pytest.TestReport(name, (name, 1, name), {}, this, longrepr if when == "call" else None, when)  # type: ignore[arg-type]
        report.duration = 0.5
        made.append(report)
    return made


def session(folder: Path, *ran: list[pytest.TestReport]) -> tuple[list[str], list[str]]:
    """One run of three tests, of which only some are reached: the ids that it would run, and its report."""
    verify = Verify(folder / "notes", folder / "verify.txt")
    items: Any = [SimpleNamespace(nodeid=name) for name in ("a", "b", "c")]
    config: Any = SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: None))
    verify.pytest_collection_modifyitems(config, items)
    for report in (one for test in ran for one in test):
        verify.pytest_runtest_logreport(report)
    verify.pytest_sessionfinish()
    return [item.nodeid for item in items], (folder / "verify.txt").read_text().splitlines()


def test_the_report_has_one_line_for_each_test_with_outcome_seconds_and_reason(tmp_path: Path) -> None:
    failed = reports("a", "failed", "E   assert 1 == 2\n")
    skipped = reports("b", "skipped", ("f", 1, "Skipped: no GPU"))
    _, lines = session(tmp_path, failed, skipped)
    assert [line.partition(" ")[0] for line in lines[:4]] == ["commit", "date", "machine", "tests"]
    assert lines[3].endswith("3: 1 failed, 1 not run, 1 skipped; 3 s")
    assert lines[5:] == [
        "failed       1.5 s  a: assert 1 == 2",
        "skipped      1.5 s  b: no GPU",
        "not run      0.0 s  c",
    ]


def test_a_later_run_leaves_out_what_passed_and_does_not_hide_what_failed_first(tmp_path: Path) -> None:
    session(tmp_path, reports("a", "failed", "E   no"), reports("b"))
    left, lines = session(tmp_path, reports("a"), reports("c"))
    assert left == ["a", "c"]
    assert [line.split("  ")[-1] for line in lines[5:]] == ["a; failed 1 times before", "b", "c"]


def test_make_verify_is_a_command_where_there_are_notes_to_go_on_from(tmp_path: Path) -> None:
    """Pytest must not take the folder of notes, once it is there, for one of tests, which knows no such option."""
    told = subprocess.run(["make", "-n", "verify"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [command] = [line for line in told.splitlines() if " pytest " in line]
    _, *words = shlex.split(command.replace(".verify", str(tmp_path)))
    done = subprocess.run([sys.executable, *words, "--markers"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
