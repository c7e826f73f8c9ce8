"""The arrays that the Pathfinder tasks open: pixels, labels and, of drawn pictures, the distance of the two dots.

Written into a folder of the cache, once for all trials. Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.tasks.cache import write_rows
from harness.tasks.pathfinder_files import decode, entries
from harness.tasks.pathfinder_parallel import pictures
from harness.tasks.pathfinder_rules import Difficulty, Rules
from harness.tasks.pathfinder_stamps import stamps
from harness.tasks.progress import followed, told


def tables(drawn: Rules) -> list[str]:
    """What the pictures of a seed depend on beside the rules: the stamps, as the library drew them."""
    return [stamps(drawn, m).digest() for m in drawn.margins]


def draw(drawn: Rules, seed: int, count: int, folder: Path) -> None:
    """The first `count` pictures of a seed: x.npy, y.npy, and apart.npy with the squared distance of the dots."""
    labels: list[NDArray[np.uint8]] = []
    distances: list[NDArray[np.int32]] = []

    def parts() -> Iterator[NDArray[np.uint8]]:
        done = 0
        for part in pictures(drawn, seed, count):
            told("drawing pictures", done := done + len(part.y), count)
            labels.append(part.y)
            distances.append(part.apart)
            yield part.x

    write_rows(folder / "x.npy", count, drawn.size**2, parts())
    np.save(folder / "y.npy", np.concatenate(labels))
    np.save(folder / "apart.npy", np.concatenate(distances))


def read(released: Path, difficulty: Difficulty, size: int, folder: Path) -> None:
    """Every released picture of a level: x.npy and y.npy."""
    found = list(entries(released, difficulty))
    parts = (decode(entry, size) for entry in followed(found, "reading pictures", len(found)))
    write_rows(folder / "x.npy", len(found), size**2, parts)
    np.save(folder / "y.npy", np.array([entry.label for entry in found], dtype=np.uint8))


def dot_distance(
    seen: NDArray[np.int32], labels: NDArray[np.uint8], asked: NDArray[np.int32], truth: NDArray[np.uint8]
) -> float:
    """Accuracy on (asked, truth) of the best threshold on the squared distance of the dots for (seen, labels)."""
    values, at = np.unique(seen, return_inverse=True)
    # Zeros less ones among those at most so far apart.
    near = np.bincount(at, weights=1.0 - 2.0 * labels).cumsum()
    ones = int(labels.sum())
    right = {True: near + ones, False: len(labels) - ones - near}
    far_is_one = bool(right[True].max() >= right[False].max())
    return float((((asked > values[right[far_is_one].argmax()]) == far_is_one) == truth).mean())
