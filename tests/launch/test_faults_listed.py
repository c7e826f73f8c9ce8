"""tests/README.md lists every fault with its tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
ROWS = [line for line in (TESTS / "README.md").read_text().splitlines() if line.startswith("| ") and ".py" in line]
NAMED = re.compile(r"`([\w/]+\.py)`((?:,? `[a-z_]+`)*)")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_tests_of_a_fault_are_there_and_marked(row: str) -> None:
    found = NAMED.findall(row)
    assert found
    for file, names in found:
        text = (TESTS / file).read_text()
        assert "mark.fault" in text
        for name in re.findall(r"[a-z_]+", names):
            assert re.search(rf"def test_\w*{name}", text), f"{file}: {name}"
