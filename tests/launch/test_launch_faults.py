"""Each real fault of a trial is one end row, and the supervisor goes on."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from launch_toy import HERE, ROOT, ends, job, options, rows, steps, sweep, until

from harness import records
from harness.launch import leavings
from harness.launch.options import Outcome
from harness.launch.queue import due
from harness.launch.stop import GO, KILL, STOP
from harness.launch.supervise import supervise

pytestmark = pytest.mark.fault
SOON_S = 1.5
"""Time-out of the toys that hang: longer than a heartbeat (1 s) and than a forked child takes to start."""


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The fork server's own start (it loads torch) must not count against the toys' time-outs."""
    assert attempt(tmp_path_factory.mktemp("warm"), job(1)).status == "done"


def attempt(folder: Path, one: dict[str, Any], stop: Any = lambda: GO, force: bool = False, **given: Any) -> Outcome:
    limits = {name: given.pop(name) for name in ("timeout_s", "silent_s", "memory_bytes") if name in given}
    [task] = due(sweep(folder, one, **limits, max_attempts=9), options(force=force, **given)).tasks
    return supervise(task, stop)


def test_a_trial_that_ends_leaves_a_whole_record(tmp_path: Path) -> None:
    assert attempt(tmp_path, job(1)).status == "done"
    assert [row["row"] for row in rows(tmp_path, 1)] == ["header", *["metric", "checkpoint"] * 3, "end"]
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("fault", "limits", "status", "reason"),
    [
        ("raises", {}, "error", "ValueError: the trial's own mistake"),
        ("diverges", {}, "diverged", "the loss is nan"),
        ("unsupported", {}, "unsupported", "for GPUs"),
        ("segfault", {}, "error", "killed by SIGSEGV"),
        ("killed", {}, "error", "killed by SIGKILL"),
        ("leaves", {}, "error", "exit code 3"),
        ("sleeps", {"timeout_s": SOON_S}, "timeout", "ran longer than"),
        ("sleeps", {"silent_s": SOON_S}, "timeout", "gave no row and no step"),
        ("freezes", {"hang_s": SOON_S}, "timeout", "no sign of life"),
        ("holds_the_lock", {"hang_s": SOON_S}, "timeout", "no sign of life"),
        ("hogs", {"memory_bytes": 1 << 30}, "out_of_memory", "of 1.00 GiB allowed"),
        ("starts_a_hog", {"memory_bytes": 1 << 30}, "out_of_memory", "of 1.00 GiB allowed"),
    ],
)
def test_a_fault_becomes_one_end_row_with_its_reason(
    tmp_path: Path, fault: str, limits: dict[str, Any], status: str, reason: str
) -> None:
    outcome = attempt(tmp_path, job(1, fault=fault), **limits)
    assert (outcome.status, ends(tmp_path, 1)) == (status, [status])
    assert reason in rows(tmp_path, 1)[-1]["reason"]
    assert steps(tmp_path, 1) == [0]


def test_a_trial_that_never_reports_has_a_record_that_says_so(tmp_path: Path) -> None:
    outcome = attempt(tmp_path, job(1, fault="sleeps", at=-1), silent_s=SOON_S)
    assert (outcome.status, [row["row"] for row in rows(tmp_path, 1)]) == ("timeout", ["header", "end"])


def test_a_trial_that_goes_on_without_a_row_is_left_alone(tmp_path: Path) -> None:
    assert attempt(tmp_path, job(1, steps=1, polls=25), silent_s=SOON_S).status == "done"


def test_an_error_keeps_its_traceback(tmp_path: Path) -> None:
    attempt(tmp_path, job(1, fault="raises"))
    assert "in _raises" in rows(tmp_path, 1)[-1]["traceback"]


def test_a_segfault_leaves_its_stack_in_the_log(tmp_path: Path) -> None:
    attempt(tmp_path, job(1, fault="segfault"))
    assert "_segfault" in (tmp_path / "logs" / f"{1:012x}.log").read_text()


def test_a_child_that_dies_before_its_header_still_leaves_a_readable_record(tmp_path: Path) -> None:
    outcome = attempt(tmp_path, job(1), plugins=("no_such_plugin",))
    header, end = rows(tmp_path, 1)
    assert (outcome.status, header["row"], header["trial_id"]) == ("error", "header", f"{1:012x}")
    assert "'no_such_plugin' cannot be loaded" in end["reason"]


def test_a_row_larger_than_the_pipe_arrives_whole(tmp_path: Path) -> None:
    attempt(tmp_path, job(1, fault="large_row"))
    [array] = [row for row in rows(tmp_path, 1) if row["row"] == "array"]
    assert array["values"] == [0.5] * 200_000


def test_a_failed_attempt_is_continued_from_its_checkpoint_without_gap_or_repeat(tmp_path: Path) -> None:
    one = job(1, fault="segfault", at=2, once=True, steps=4)
    assert attempt(tmp_path, one).failures == 1
    assert attempt(tmp_path, one) == Outcome(f"{1:012x}", "done", "", 2, 1, pytest.approx(0, abs=60))
    [second] = [row for row in rows(tmp_path, 1) if row["row"] == "attempt"]
    assert second["history"] == [{"status": "error", "reason": "killed by SIGSEGV"}]
    assert (steps(tmp_path, 1), ends(tmp_path, 1)) == ([0, 1, 2, 3], ["done"])


def test_the_history_survives_attempts_that_die_at_once(tmp_path: Path) -> None:
    one = job(1, fault="segfault")
    attempt(tmp_path, one)
    attempt(tmp_path, one, plugins=("no_such_plugin",))
    third = attempt(tmp_path, one)
    assert (third.attempt, third.failures) == (3, 3)
    assert [end["status"] for end in rows(tmp_path, 1)[-2]["history"]] == ["error", "error"]


def test_a_forced_trial_starts_afresh(tmp_path: Path) -> None:
    attempt(tmp_path, job(1))
    first = rows(tmp_path, 1)[0]["created"]
    assert attempt(tmp_path, job(1), force=True).attempt == 1
    assert rows(tmp_path, 1)[0]["created"] > first


def test_a_second_supervisor_of_a_fresh_task_goes_on_with_what_the_first_has_begun(tmp_path: Path) -> None:
    one = job(1, fault="killed", at=2, once=True, steps=4)
    attempt(tmp_path, one)
    whole = tmp_path / f"{1:012x}.jsonl"
    *kept, _ = whole.read_text().splitlines(keepends=True)
    whole.with_suffix(".jsonl.partial").write_text("".join(kept))
    whole.unlink()
    assert attempt(tmp_path, one, force=True).attempt == 2
    assert (steps(tmp_path, 1), ends(tmp_path, 1)) == ([0, 1, 2, 3], ["done"])
    assert [row["resumed_step"] for row in rows(tmp_path, 1) if row["row"] == "attempt"] == [2]


@pytest.mark.parametrize(
    ("fault", "left"), [("", False), ("diverges", False), ("unsupported", False), ("raises", True)]
)
def test_a_trial_that_is_over_leaves_no_checkpoints(tmp_path: Path, fault: str, left: bool) -> None:
    attempt(tmp_path, job(1, fault=fault))
    assert leavings.checkpoints(tmp_path, f"{1:012x}").exists() == left


def test_a_record_that_cannot_be_ended_keeps_its_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = records.Writer.write

    def full(self: records.Writer, row: records.Row) -> None:
        if row["row"] == "end":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(records.Writer, "write", full)
        assert attempt(tmp_path, job(1)).status == "interrupted"
    assert attempt(tmp_path, job(1)).status == "done"
    assert [row["resumed_step"] for row in rows(tmp_path, 1) if row["row"] == "attempt"] == [3]


def test_a_trial_asked_to_stop_ends_interrupted_and_goes_on_later(tmp_path: Path) -> None:
    one = job(1, steps=40, pause_s=0.1)
    partial = tmp_path / f"{1:012x}.jsonl.partial"

    def begun() -> int:
        return STOP if partial.exists() and b'"row":"checkpoint"' in partial.read_bytes() else GO

    assert attempt(tmp_path, one, stop=begun).status == "interrupted"
    reached = len(steps(tmp_path, 1))
    assert 0 < reached < 40
    outcome = attempt(tmp_path, one)
    assert (outcome.status, outcome.failures) == ("done", 0)
    assert (steps(tmp_path, 1), ends(tmp_path, 1)) == (list(range(40)), ["done"])


@pytest.mark.parametrize(("level", "grace_s", "reason"), [(STOP, 0.5, "did not stop within"), (KILL, 60.0, "second")])
def test_a_trial_that_does_not_listen_is_killed(tmp_path: Path, level: int, grace_s: float, reason: str) -> None:
    partial = tmp_path / f"{1:012x}.jsonl.partial"

    def begun() -> int:
        return level if partial.exists() and b'"row":"checkpoint"' in partial.read_bytes() else GO

    outcome = attempt(tmp_path, job(1, fault="sleeps"), stop=begun, grace_s=grace_s)
    assert outcome.status == "interrupted" and reason in outcome.reason


def test_a_second_supervisor_waits_for_the_first_and_does_not_repeat_its_trial(tmp_path: Path) -> None:
    ended: list[Outcome] = []
    one = job(1, steps=5, pause_s=0.1)
    both = [threading.Thread(target=lambda: ended.append(attempt(tmp_path, one))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [outcome.status for outcome in ended] == ["done", "done"]
    assert (steps(tmp_path, 1), ends(tmp_path, 1)) == ([0, 1, 2, 3, 4], ["done"])


@pytest.mark.parametrize("fault", ["sleeps", "holds_the_lock"])
def test_a_child_does_not_outlive_its_supervisor(tmp_path: Path, fault: str) -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]\n"
        f"from pathlib import Path; from test_launch_faults import attempt, job\n"
        f"attempt(Path({str(tmp_path)!r}), job(1, fault={fault!r}))"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", program])
    partial = tmp_path / f"{1:012x}.jsonl.partial"
    try:
        assert until(lambda: partial.exists() and b'"row":"checkpoint"' in partial.read_bytes())
        child = psutil.Process(json.loads(partial.read_text().splitlines()[0])["pid"])
        time.sleep(0.2)
    finally:
        supervisor.kill()
        supervisor.wait()
    assert until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, seconds=5.0)
