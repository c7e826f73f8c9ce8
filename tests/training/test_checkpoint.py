"""Checkpoint files: whole or absent, two of them, nothing but data inside."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from harness.training import checkpoint

pytestmark = pytest.mark.fault
ORIGIN = {"data": "a", "device": "cpu"}


def save(folder: Path, rows: int) -> None:
    checkpoint.save(folder, rows, {"origin": ORIGIN, "weights": torch.full((1000,), float(rows))})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for rows in (5, 9, 14):
        save(tmp_path, rows)
    assert names(tmp_path) == ["00000009.pt", "00000014.pt"]


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    save(tmp_path, 7)
    found = checkpoint.find(tmp_path, 7, ORIGIN)
    assert found.content is not None and found.rows == found.content["rows"] == 7 and found.notes == ()
    assert torch.equal(found.content["weights"], torch.full((1000,), 7.0))


def test_the_newest_that_the_record_reaches_is_found_and_newer_ones_removed(tmp_path: Path) -> None:
    save(tmp_path, 7)
    save(tmp_path, 12)
    assert checkpoint.find(tmp_path, 11, ORIGIN).rows == 7
    assert names(tmp_path) == ["00000007.pt"]


@pytest.mark.parametrize("folder", [None, Path("no-such-folder")])
def test_without_a_folder_there_is_nothing_to_resume(folder: Path | None) -> None:
    assert checkpoint.find(folder, 10, ORIGIN) == checkpoint.Found(None, 0, ())


def test_one_flipped_bit_of_a_weight_is_noticed(tmp_path: Path) -> None:
    save(tmp_path, 3)
    path = tmp_path / "00000003.pt"
    content = bytearray(path.read_bytes())
    content[content.find(torch.full((1000,), 3.0).numpy().tobytes()) + 2001] ^= 1
    path.write_bytes(content)
    found = checkpoint.find(tmp_path, 3, ORIGIN)
    assert found.content is None and "wrong checksum" in found.notes[0]


def test_no_flipped_byte_anywhere_changes_what_is_read(tmp_path: Path) -> None:
    save(tmp_path, 3)
    path = tmp_path / "00000003.pt"
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 17):
        content = bytearray(whole)
        content[place] ^= 0xFF
        path.write_bytes(content)
        found = checkpoint.find(tmp_path, 3, ORIGIN).content
        refused += found is None
        # What lies between the archive's members is padding, which nobody reads.
        assert found is None or torch.equal(found["weights"], torch.full((1000,), 3.0))
    assert refused > 4000 / 17, "the 4,000 bytes of the weights at least"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_torn_file_gives_way_to_the_one_before(share: float, tmp_path: Path) -> None:
    for rows in (3, 7):
        save(tmp_path, rows)
    newest = tmp_path / "00000007.pt"
    newest.write_bytes(newest.read_bytes()[: int(share * newest.stat().st_size)])
    found = checkpoint.find(tmp_path, 9, ORIGIN)
    assert found.rows == 3 and "00000007.pt cannot be read" in found.notes[0]
    assert names(tmp_path) == ["00000003.pt"]


def test_a_file_that_holds_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"origin": ORIGIN, "trap": Trap()}, tmp_path / "00000003.pt")
    assert zipfile.is_zipfile(tmp_path / "00000003.pt")
    found = checkpoint.find(tmp_path, 3, ORIGIN)
    assert found.content is None and pickle.UnpicklingError.__name__ in found.notes[0]
    assert not (tmp_path / "sprung").exists()


def test_a_save_that_fails_leaves_the_older_checkpoints_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 3)

    def full(content: object, file: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 8)
    assert names(tmp_path) == ["00000003.pt"]


def test_clearing_removes_checkpoints_and_an_unfinished_file_but_nothing_foreign(tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    save(folder, 3)
    (folder / "17.partial").touch()
    (folder / "notes.txt").touch()
    checkpoint.clear(folder)
    assert names(folder) == ["notes.txt"]
    (folder / "notes.txt").unlink()
    checkpoint.clear(folder)
    assert not folder.exists()
