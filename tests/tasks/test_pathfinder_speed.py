"""Drawing a picture takes a twentieth of the original generator's time at most; `pytest -m long -s` prints how long."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest

from harness.tasks.pathfinder_draw import CHUNK, chunk
from harness.tasks.pathfinder_rules import PATH_DASHES, rules

ORIGINAL_S = 0.3
"""The fastest that we have seen of the original, per hard picture of 32 x 32 pixels (0.3 to 0.5 s)."""
DRAWS = 5


@pytest.mark.long
@pytest.mark.parametrize("difficulty", PATH_DASHES)
@pytest.mark.parametrize("size", CHUNK)
def test_a_picture_takes_a_twentieth_of_the_original_s_time(size: int, difficulty: Any) -> None:
    drawn = rules(size, difficulty)
    # The first chunk makes the tables that all others share.
    chunk(drawn, 9, 0)
    seconds = []
    for number in range(1, 1 + DRAWS):
        # Processor time: what one core would take, whatever else it has to do.
        began = time.process_time()
        chunk(drawn, 9, number)
        seconds.append((time.process_time() - began) / CHUNK[size])
    middle = statistics.median(seconds)
    print(f"\n{size} x {size} {difficulty}: {1000 * middle:.2f} ms a picture of one core, {1 / middle:.0f} a second")
    assert middle * 20 <= ORIGINAL_S
