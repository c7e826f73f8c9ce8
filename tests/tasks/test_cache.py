"""Prepared data on disk: whole or not there, made once, and never unpickled."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from harness.errors import EnvironmentProblem
from harness.tasks.cache import CONTENTS, Fill, cached, checksums, damaged, discard, write_rows
from harness.tasks.files import Arrays

THINGS = {"x": np.arange(6, dtype=np.int16).reshape(2, 3), "none": np.zeros((0, 4), np.float32)}


def things() -> Arrays:
    return dict(THINGS)


def never() -> Arrays:
    pytest.fail("it was made again")


def same(found: Arrays) -> bool:
    return set(found) == set(THINGS) and all(
        found[name].dtype == array.dtype and np.array_equal(found[name], array) for name, array in THINGS.items()
    )


def test_arrays_are_made_once_and_come_back_mapped() -> None:
    assert same(cached("things", things))
    again = cached("things", never)
    assert same(again) and isinstance(again["x"], np.memmap)


def test_what_a_reader_writes_reaches_no_other_reader() -> None:
    cached("things", things)["x"][:] = 9
    assert same(cached("things", never))


@pytest.mark.parametrize("file", [CONTENTS, "x.npy", "none.npy"])
@pytest.mark.parametrize("size", [None, 0, 20, 100])
def test_a_cut_or_missing_file_is_made_again(cache: Path, file: str, size: int | None) -> None:
    cached("things", things)
    path = cache / "things" / file
    path.unlink() if size is None else os.truncate(path, size)
    assert same(cached("things", things)) and same(cached("things", never))


@pytest.mark.parametrize("array", [np.zeros((2, 4), np.int16), np.zeros((2, 3), np.int32), np.array({"a": 1})])
def test_another_array_in_its_place_is_made_again(cache: Path, array: np.ndarray) -> None:
    cached("things", things)
    np.save(cache / "things" / "x.npy", array, allow_pickle=True)
    assert same(cached("things", things))


def test_a_flipped_bit_is_found_by_the_checksum(cache: Path) -> None:
    cached("things", things)
    assert damaged("things") == []
    path = cache / "things" / "x.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert damaged("things") == ["x"]
    discard("things")
    assert same(cached("things", things)) and damaged("things") == []


def streamed(problem: BaseException | None = None) -> Fill:
    def fill(folder: Path) -> None:
        write_rows(folder / "x.npy", 4, 3, (np.full((2, 3), part, dtype=np.uint8) for part in (5, 6)))
        if problem is not None:
            raise problem

    return fill


def test_rows_come_back_as_they_were_written_part_after_part(cache: Path) -> None:
    x = cached("rows", streamed)["x"]
    assert isinstance(x, np.memmap) and x.dtype == np.uint8 and x.tolist() == [[5] * 3, [5] * 3, [6] * 3, [6] * 3]
    assert checksums("rows") == {"x": hashlib.sha256((cache / "rows" / "x.npy").read_bytes()).hexdigest()}
    assert damaged("rows") == []


@pytest.mark.parametrize(
    ("problem", "told"),
    [(ValueError("no"), ValueError), (OSError(errno.ENOSPC, "No space left on device"), EnvironmentProblem)],
)
def test_a_failure_while_streaming_leaves_nothing(cache: Path, problem: Exception, told: type[Exception]) -> None:
    with pytest.raises(told):
        cached("rows", lambda: streamed(problem))
    assert [path.name for path in cache.iterdir()] == [".rows.lock"]


@pytest.mark.parametrize("problem", [RuntimeError("no"), KeyboardInterrupt()])
def test_a_failure_while_making_leaves_nothing(cache: Path, problem: BaseException) -> None:
    def fail() -> Arrays:
        raise problem

    with pytest.raises(type(problem)):
        cached("things", fail)
    assert [path.name for path in cache.iterdir()] == [".things.lock"]


def test_a_failure_while_writing_leaves_nothing(cache: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        cached("things", lambda: {**THINGS, "y": np.array([{}], dtype=object)})
    assert [path.name for path in cache.iterdir()] == [".things.lock"]


def test_what_a_killed_writer_left_is_removed(cache: Path) -> None:
    left = cache / ".things.tmp-killed"
    left.mkdir(parents=True)
    cached("things", things)
    assert not left.exists()


def _open(_: int) -> int:
    made = 0

    def make() -> Arrays:
        nonlocal made
        made += 1
        return things()

    assert same(cached("things", make))
    return made


def test_many_processes_make_it_once_between_them(cache: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert sum(pool.map(_open, range(8), chunksize=1)) == 1


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(EnvironmentProblem, match=r"file/below' cannot be written \(Not a directory\)\. Set HARNESS"):
        cached("things", things)


def test_a_prepared_entry_is_read_from_a_folder_that_cannot_be_written(cache: Path) -> None:
    cached("things", things)
    (cache / ".things.lock").unlink()
    cache.chmod(0o555)
    try:
        assert same(cached("things", never)) and not (cache / ".things.lock").exists()
    finally:
        cache.chmod(0o755)
