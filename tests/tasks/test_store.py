"""Data sets in the cache: made once, seen whole or not at all."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest

from harness.errors import EnvironmentProblem
from harness.tasks.store import kept, mapped, write_rows


def make(folder: Path) -> None:
    with (folder.parent / "made").open("a") as log:
        log.write("x")
    write_rows(folder / "x.npy", 4, 3, (np.full((2, 3), part, dtype=np.uint8) for part in (5, 6)))


def several(name: str) -> list[int]:
    return [int(value) for value in mapped(kept(name, "things", make), "x")[:, 0]]


def test_rows_come_back_as_they_were_written_part_after_part() -> None:
    assert several("a") == [5, 5, 6, 6]


def test_what_is_there_is_not_made_again(cache: Path) -> None:
    several("a"), several("a")
    assert (cache / "made").read_text() == "x"


def test_of_many_processes_one_makes_it_and_all_read_it(cache: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(several, ["a"] * 6) == [[5, 5, 6, 6]] * 6
    assert (cache / "made").read_text() == "x"


def test_a_making_that_fails_leaves_nothing_and_can_be_tried_again(cache: Path) -> None:
    def fail(folder: Path) -> None:
        make(folder)
        raise ValueError

    with pytest.raises(ValueError):
        kept("a", "things", fail)
    assert {path.name for path in cache.iterdir()} == {".a.lock", "made"}
    assert several("a") == [5, 5, 6, 6]


def test_what_a_killed_process_left_is_replaced(cache: Path) -> None:
    (cache / ".a.partial").mkdir(parents=True)
    (cache / ".a.partial" / "x.npy").write_bytes(b"half")
    assert several("a") == [5, 5, 6, 6]


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(EnvironmentProblem, match=r"cannot take things \(.*set HARNESS_CACHE to another"):
        several("a")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00half"])
def test_a_damaged_array_says_what_to_remove(content: bytes) -> None:
    folder = kept("a", "things", make)
    (folder / "x.npy").write_bytes(content)
    with pytest.raises(EnvironmentProblem, match=re.escape(f"remove the folder {folder}")):
        mapped(folder, "x")
