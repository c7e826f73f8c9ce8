"""A disk that is really full: a small file system, or where none may be mounted, a limit on the size of files."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launch_study import Make
from launch_toy import job, options, rows, steps, sweep
from survival import end, wait

from harness.launch.queue import due
from harness.launch.stop import GO
from harness.launch.supervise import supervise
from harness.launch.sweep import run
from harness.training import checkpoint

pytestmark = pytest.mark.fault


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = before


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of `size` bytes at `folder`; skips where none may be mounted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounting = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounting.returncode:
        pytest.skip(f"no file system can be mounted here ({mounting.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill the file system of `folder` but for `leave` bytes; returns the file that does."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    with contextlib.suppress(OSError):
        ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))
    return ballast


def test_a_record_that_finds_no_room_is_continued_once_there_is_some(tmp_path: Path) -> None:
    one = job(1, fault="floods", at=2, once=True, steps=4)
    toy = sweep(tmp_path, one)
    # The fork server, which other tests use too, is started before the limit.
    assert run([sweep(tmp_path / "warm", job(2))], options()) == 0
    [task] = due(toy, options()).tasks
    with files_up_to(4000):
        outcome = supervise(task, lambda: GO)
    assert (outcome.status, outcome.failures) == ("interrupted", 0) and "File too large" in outcome.reason
    [task] = due(toy, options()).tasks
    assert supervise(task, lambda: GO).status == "done"
    assert steps(tmp_path, 1) == [0, 1, 2, 3]
    assert [row["resumed_step"] for row in rows(tmp_path, 1) if row["row"] == "attempt"] == [2]


def test_a_checkpoint_that_finds_no_room_says_so_and_leaves_the_one_before(tmp_path: Path) -> None:
    import torch

    content = {"origin": {}, "weights": torch.zeros(1000)}
    checkpoint.save(tmp_path, 3, content)
    with files_up_to(4000), pytest.raises(OSError, match="File too large"):
        checkpoint.save(tmp_path, 8, content)
    assert [path.name for path in tmp_path.iterdir()] == ["00000003.pt"]
    assert checkpoint.find(tmp_path, 9, {}).rows == 3


@pytest.mark.long
@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.parametrize("what", ["record", "checkpoint"])
def test_a_full_disk_interrupts_trials_which_go_on_once_there_is_room(what: str, executor: str, study: Make) -> None:
    one = study(executor)
    place = one.folder if what == "record" else one.folder / "checkpoints"
    with small_disk(place, "4m"):
        driver = one.begun()
        ballast = fill(place)
        code, said = end(driver)
        logs = "".join(path.read_text() for path in one.folder.glob("logs/*.log"))
        # Under Ray a trial has its own machine's disk, and only says that its checkpoints could not be stored.
        expected = (0, logs) if (what, executor) == ("checkpoint", "ray") else (1, said)
        assert code == expected[0] and "No space left on device" in expected[1]
        assert set(one.statuses()) <= {"done", "interrupted"}, "a full disk is no failure of a trial"
        ballast.unlink()
        one.completed()


@pytest.mark.long
def test_a_full_disk_of_the_mlflow_store_holds_nothing_up_and_is_made_up_for(tmp_path: Path, study: Make) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "32m"):
        one = study("local", store=disk / "mlflow.db")
        driver = one.begun()
        # It has its name once it is whole.
        wait((disk / "mlflow.db").exists, driver)
        ballast = fill(disk)
        one.mend()
        code, said = end(driver)
        assert code == 0 and "the records have them, and `harness push study` delivers them" in said
        assert set(one.statuses()) == {"done"}
        ballast.unlink()
        one.completed()


@pytest.mark.long
@pytest.mark.parametrize("size", [0, 6000, 40_000, 400_000])
def test_where_no_file_may_grow_a_run_ends_in_sentences_and_goes_on_later(
    size: int, study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = study("local")
    one.mend()
    with monkeypatch.context() as patch:
        # Python 3.11 does not notice that it has written half of a module's bytecode.
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        limited = one.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    code, said = end(limited)
    # With 400,000 bytes the records are whole, and only the MLflow store (some 800,000 when new) is not made.
    assert code == {0: 3, 6000: 1, 40_000: 1, 400_000: 0}[size], said
    # The last is what SQLite makes of it.
    assert size == 0 or "too large" in said or "full" in said or "disk I/O error" in said
    one.completed()
