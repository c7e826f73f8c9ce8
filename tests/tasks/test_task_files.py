"""Finding, identifying and writing data files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks import files
from harness.tasks.files import DataFile, cache_folder, digest, find, locate, read_arrays, write_arrays

FILE = DataFile("things.npz", ("things.npz", "deeper/things.npz"), "the attic", check=str)


def rewrite(path: Path, content: bytes) -> None:
    """New content with a new modification time, however coarse the clock of the file system."""
    later = path.stat().st_mtime_ns + 1_000_000_000 if path.exists() else None
    path.write_bytes(content)
    if later is not None:
        os.utime(path, ns=(later, later))


def test_the_first_place_wins(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/things.npz").write_bytes(b"b")
    assert find(FILE, tmp_path) == tmp_path / "deeper/things.npz"
    (tmp_path / "things.npz").write_bytes(b"a")
    assert find(FILE, tmp_path) == tmp_path / "things.npz"


def test_a_missing_file_is_named_with_its_places_and_origin(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem) as problem:
        locate("image", FILE, tmp_path)
    assert str(problem.value) == (
        f"The task 'image' needs things.npz, which is at none of: {tmp_path}/things.npz, "
        f"{tmp_path}/deeper/things.npz. Get it from the attic."
    )


def test_no_data_root_is_told_apart_from_a_missing_file() -> None:
    with pytest.raises(EnvironmentProblem, match=r"no data root was given\..*--data-root"):
        locate("image", FILE, None)


def test_the_digest_is_the_sha256_and_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    # The published test vector of SHA-256.
    assert digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    monkeypatch.setattr(files.hashlib, "file_digest", lambda *_: pytest.fail("the file was read again"))
    digest(path)


def test_the_digest_follows_the_content_at_the_same_size(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    before = digest(path)
    rewrite(path, b"abd")
    assert digest(path) != before
    rewrite(path, b"abc")
    assert digest(path) == before


@pytest.mark.parametrize("memory", [b"", b"not json", b"[1]", b"\xff\xfe", b"null"])
def test_a_damaged_memory_of_digests_is_no_error(tmp_path: Path, cache: Path, memory: bytes) -> None:
    cache.mkdir()
    (cache / "digests.json").write_bytes(memory)
    (tmp_path / "x").write_bytes(b"abc")
    assert digest(tmp_path / "x").startswith("ba7816bf")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "x" / "below a file"))
    assert digest(tmp_path / "x").startswith("ba7816bf")


def test_the_cache_folder_is_the_user_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/hippo-harness")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/hippo-harness")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def fail(out: IO[bytes]) -> None:
        out.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.write_atomically(path, fail)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["x"]
    assert path.read_bytes() == b"old"


def test_arrays_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", {"x": np.arange(6).reshape(2, 3)})
    assert (read_arrays(tmp_path / "a.npz", ("x",))["x"] == np.arange(6).reshape(2, 3)).all()


def damaged(folder: Path, kind: str) -> Path:
    path = folder / "a.npz"
    write_arrays(path, {"x": np.arange(10_000)})
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "flipped byte":
        path.write_bytes(content[:5000] + bytes([content[5000] ^ 0xFF]) + content[5001:])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "single array":
        with path.open("wb") as out:
            np.save(out, np.arange(3))
    elif kind == "pickled objects":
        with path.open("wb") as out:
            np.savez(out, x=np.array([{"a": 1}], dtype=object))
    return path


@pytest.mark.parametrize(
    "kind", ["truncated", "flipped byte", "empty", "text", "single array", "pickled objects", "lacks y"]
)
def test_a_damaged_npz_is_one_sentence_that_names_it(tmp_path: Path, kind: str) -> None:
    path = damaged(tmp_path, kind)
    with pytest.raises(UsageError, match=re.escape(str(path))) as problem:
        read_arrays(path, ("x", "y") if kind == "lacks y" else ("x",))
    assert "\n" not in str(problem.value)
