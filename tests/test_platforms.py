"""Elsewhere than on Linux: a plain substitute for each thing that relies on it, or a sentence."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness import cli, platforms
from harness.errors import EnvironmentProblem

ROOT = Path(__file__).resolve().parent.parent
MAC = """
import ctypes, multiprocessing.forkserver, multiprocessing.popen_spawn_posix, os, pathlib, psutil, subprocess, sys
sys.platform = "darwin"
for name in ("sched_getaffinity", "sched_setaffinity"):
    delattr(os, name)
"""
"""Run at the start of every Python process, once what asks for the platform has been loaded."""
SUPERVISOR = """
import sys
from pathlib import Path
from launch_toy import job, options, sweep
from harness.launch.queue import due
from harness.launch.supervise import supervise
[task] = due(sweep(Path(sys.argv[1]), job(1, steps=2, fault=sys.argv[2])), options()).tasks
print(supervise(task, lambda: 0).status)
"""


def as_on_a_mac(folder: Path, program: str, *arguments: str) -> subprocess.Popen[str]:
    (folder / "sitecustomize.py").write_text(MAC)
    path = os.pathsep.join(map(str, (folder, ROOT, ROOT / "tests" / "launch")))
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)


def test_a_trial_runs_in_a_fresh_process_and_ends_like_any_other(tmp_path: Path) -> None:
    said, _ = as_on_a_mac(tmp_path, SUPERVISOR, str(tmp_path / "toy"), "").communicate(timeout=120)
    assert said == "done\n"


def test_a_trial_ends_with_its_killed_supervisor_without_a_signal_from_the_kernel(tmp_path: Path) -> None:
    supervisor = as_on_a_mac(tmp_path, SUPERVISOR, str(tmp_path / "toy"), "sleeps")
    partial = tmp_path / "toy" / f"{1:012x}.jsonl.partial"
    try:
        assert until(lambda: partial.exists() and b'"row":"checkpoint"' in partial.read_bytes())
        child = psutil.Process(json.loads(partial.read_text().splitlines()[0])["pid"])
    finally:
        supervisor.kill()
        supervisor.communicate()
    assert until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def until(true: object, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    assert callable(true)
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(true())


def test_a_libc_without_our_options_is_told_from_one_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.training.machine import _keeps_freed_memory

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    assert not platforms.die_with_parent() and not _keeps_freed_memory()


def test_processors_are_counted_and_timings_run_where_processes_cannot_be_pinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from harness.launch import machine
    from harness.training.machine import prepared

    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "sched_setaffinity")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert machine.cpus() == os.cpu_count()
    with prepared(1, training=False) as about:
        assert (about["pinned_to"], about["keeps_freed_memory"]) == ([], False)


def test_what_the_kernel_does_not_tell_is_said_or_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.launch import machine, process
    from harness.throughput.meter import Meter, Unmeasured
    from harness.throughput.predict import available_bytes

    free = available_bytes("cpu")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    monkeypatch.setattr(Path, "is_dir", lambda self: False)
    assert free <= available_bytes("cpu") == psutil.virtual_memory().total
    assert machine.gpus() == []
    monkeypatch.setattr(Path, "read_text", missing)
    assert process.kernel_kills() == 0
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unmeasured, match="measured on Linux, and this is darwin"):
        Meter({}, "cpu").peak_bytes("reference", "forward")


def missing(self: Path) -> str:
    raise FileNotFoundError(self)


def test_pictures_are_drawn_where_processors_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.tasks.pathfinder_parallel import pictures
    from harness.tasks.pathfinder_rules import rules

    monkeypatch.delattr(os, "sched_getaffinity")
    assert sum(len(part.y) for part in pictures(rules(32, "easy"), seed=0, count=2)) == 2


def test_windows_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EnvironmentProblem, match="Windows is not supported"):
        platforms.refuse_windows()
    monkeypatch.setattr(sys, "argv", ["harness", "list"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
