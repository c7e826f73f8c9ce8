"""What is there, what is missing, and what is wrong with it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from harness.tasks import TASKS
from harness.tasks.inventory import inventory, verify


def test_every_task_has_a_row() -> None:
    assert {row.task for row in inventory(None)} == set(TASKS)


def test_without_data_every_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    for root in (None, tmp_path):
        missing = [row for row in inventory(root) if row.file]
        assert missing and all(not row.present and row.ok is None and "Get it from" in row.note for row in missing)
        assert verify(root) == inventory(root)


def test_a_file_that_is_there_is_shown_with_its_path_and_unchecked(small_root: Path) -> None:
    (row,) = [row for row in inventory(small_root) if row.task == "image"]
    assert (row.present, row.ok, row.note) == (True, None, str(small_root / "cifar10_gray.npz"))


def test_verification_reports_a_wrong_file_and_goes_on(small_root: Path) -> None:
    (small_root / "basic_val.tsv").write_bytes(b"Source\tTarget\r\n[MAX 1 2 ]\t2\r\n")
    rows = {row.file: row for row in verify(small_root)}
    assert rows["cifar10_gray.npz"].ok is False and "CIFAR-10 has 50000" in rows["cifar10_gray.npz"].note
    assert rows["basic_val.tsv"].ok is True and rows["basic_val.tsv"].note.startswith("1 examples of 4 to 4 tokens")
    content = hashlib.sha256((small_root / "basic_val.tsv").read_bytes()).hexdigest()
    assert rows["basic_val.tsv"].note.endswith(f"; SHA-256 {content[:16]}")


def test_the_real_data_is_whole(data_root: Path) -> None:
    rows = {row.file: row for row in verify(data_root) if row.present}
    assert all(row.ok for row in rows.values())
    assert "lossy images (JPEG)" in rows["cifar10_gray.npz"].note


@pytest.mark.parametrize("function", ["inventory", "verify"])
def test_listing_the_data_needs_no_torch(function: str, small_root: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        f"from harness.tasks.inventory import {function}\n"
        f"assert {function}(Path({str(small_root)!r}))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
