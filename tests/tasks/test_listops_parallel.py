"""The processes that share the drawing of ListOps: the same trees, nobody's script twice, none for a small set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks import drawers, listops_generate
from harness.tasks.listops_generate import generate
from harness.tasks.listops_trees import Rules, chunk

ROOT = Path(__file__).resolve().parents[2]
LONG = Rules(max_depth=8, max_args=6, min_length=200, max_length=600)
UNGUARDED = """
import os
os.sched_getaffinity = lambda _: {0, 1}
from harness.tasks import listops_generate
from harness.tasks.listops_trees import Rules
listops_generate.PARALLEL_FROM = 1
print("begun", flush=True)
print(len(listops_generate.generate(Rules(8, 6, 200, 600), 300, seed=0).lengths))
"""


def cores(monkeypatch: pytest.MonkeyPatch, count: int, alone: int = 1) -> None:
    """As many cores may be used, after `alone` chunks."""
    monkeypatch.setattr(listops_generate, "PARALLEL_FROM", alone)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)


def bytes_of(count: int) -> tuple[bytes, ...]:
    trees = generate(LONG, count, seed=4)
    arrays = (trees.tokens, trees.lengths, trees.values)
    assert [array.dtype.name for array in arrays] == ["uint8", "int64", "uint8"]
    return tuple(array.tobytes() for array in arrays)


def test_a_seed_is_the_same_bytes_however_many_processes_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    first = len(chunk(LONG, 4, 0).lengths)
    found = []
    for count in (1, 2, 3):
        cores(monkeypatch, count)
        found.append(bytes_of(5 * first))
    assert found[0] == found[1] == found[2]


def test_two_cores_start_two_processes_and_leave_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 2)
    started: list[drawers.Worker] = []
    start = drawers._started

    def noted(module: str, job: str) -> drawers.Worker:
        started.append(start(module, job))
        return started[-1]

    monkeypatch.setattr(drawers, "_started", noted)
    generate(LONG, 2 * len(chunk(LONG, 4, 0).lengths), seed=4)
    assert len(started) == 2 and all(one.returncode is not None for one in started)


def test_a_small_set_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 2, alone=16)
    monkeypatch.setattr(drawers, "_started", lambda *_: pytest.fail("a process was started"))
    generate(LONG, 3 * len(chunk(LONG, 4, 0).lengths), seed=4)
    cores(monkeypatch, 1)
    generate(LONG, 3 * len(chunk(LONG, 4, 0).lengths), seed=4)


def test_rules_without_enough_trees_are_told_by_several_processes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 2)
    with pytest.raises(UsageError, match="found only 400 distinct trees with 3 < tokens < 5, but 401 are asked for"):
        generate(Rules(2, 2, 3, 5), 401, seed=0)


def test_a_script_without_a_main_guard_draws_once(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stdout == "begun\n300\n", ran.stderr


def test_a_drawer_that_is_killed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    cores(monkeypatch, 2)
    chunks = listops_generate._chunks(LONG, 0)
    next(chunks), next(chunks)
    for child in psutil.Process().children():
        if "harness.tasks.listops_generate" in child.cmdline():
            child.kill()
    with pytest.raises(EnvironmentProblem, match=r"draws ListOps trees has ended .* run the same command again"):
        list(chunks)
