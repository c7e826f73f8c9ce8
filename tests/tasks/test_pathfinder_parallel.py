"""The processes that share the drawing of Pathfinder: the same pictures, nobody's script twice, nobody left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from harness.ablation import read
from harness.errors import EnvironmentProblem
from harness.plan import plan
from harness.tasks import pathfinder_parallel
from harness.tasks.pathfinder_parallel import pictures
from harness.tasks.pathfinder_rules import rules

ROOT = Path(__file__).resolve().parents[2]
SHARED = """
import os
from harness.tasks import pathfinder_parallel
os.sched_getaffinity = lambda _: {0, 1}
pathfinder_parallel.PARALLEL_FROM = 1
"""
"""Makes a process draw two chunks or more with two others, on whatever machine."""
UNGUARDED = """
import json, pathlib, sys
from harness.trial import run
print("begun", flush=True)
rows = []
print(run(json.loads(pathlib.Path(sys.argv[1]).read_text()), rows.append, threads=1))
"""
ENDLESS = """
from harness.tasks.pathfinder_rules import rules
for part in pathfinder_parallel.pictures(rules(32, "easy"), seed=0, count=10**6):
    print(len(part.y), flush=True)
"""


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pathfinder_parallel, "PARALLEL_FROM", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


def script(folder: Path, program: str) -> tuple[list[str], dict[str, str]]:
    path = folder / "script.py"
    path.write_text(SHARED + program)
    return [sys.executable, str(path)], {**os.environ, "PYTHONPATH": str(ROOT)}


def test_a_seed_is_the_same_pictures_however_many_are_asked_for_and_whoever_draws(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    drawn = rules(32, "easy")
    alone = list(pictures(drawn, 6, 300))
    request.getfixturevalue("shared")
    together = list(pictures(drawn, 6, 400))
    for name in ("x", "y", "apart"):
        one, other = (np.concatenate([getattr(part, name) for part in parts]) for parts in (alone, together))
        assert len(one) == 300 and len(other) == 400 and (other[:300] == one).all() and other.dtype == one.dtype
    assert (np.concatenate([part.x for part in pictures(drawn, 7, 250)]) != together[0].x).any()


def test_a_script_without_a_main_guard_runs_its_trial_once(tmp_path: Path) -> None:
    cut = ["task.train=300", "task.val=100", "task.test=100", "training.steps=2", "training.warmup_steps=0"]
    job = next(plan(read(ROOT / "ablations" / "mini-pathfinder.toml", [*cut, "training.evaluations=1"])).jobs())
    (tmp_path / "job.json").write_text(json.dumps(job))
    command, environment = script(tmp_path, UNGUARDED)
    # A process that began the trial anew would wait for this one for ever.
    ran = subprocess.run(
        [*command, str(tmp_path / "job.json")], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.stdout == "begun\ndone\n", ran.stderr


@pytest.mark.usefixtures("shared")
def test_a_drawer_that_is_killed_is_one_sentence() -> None:
    parts = pictures(rules(32, "easy"), seed=0, count=10**6)
    next(parts)
    for child in psutil.Process().children():
        if "harness.tasks.pathfinder_parallel" in child.cmdline():
            child.kill()
    with pytest.raises(EnvironmentProblem, match=r"draws Pathfinder pictures has ended .* run the same command again"):
        list(parts)


def test_the_drawers_end_with_whoever_asks(tmp_path: Path) -> None:
    command, environment = script(tmp_path, ENDLESS)
    asking = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert asking.stdout is not None and asking.stdout.readline() == "250\n"
        drawers = psutil.Process(asking.pid).children()
        assert len(drawers) == 2
    finally:
        asking.kill()
        asking.communicate()
    end = time.monotonic() + 60
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in drawers):
        assert time.monotonic() < end
        time.sleep(0.05)
