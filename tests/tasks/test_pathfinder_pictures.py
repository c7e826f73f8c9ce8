"""The drawn Pathfinder pictures: their rules, replayed one by one, and their statistics against the original's."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from harness.tasks.pathfinder_draw import CHUNK, Scene, chunk, scenes
from harness.tasks.pathfinder_rules import PATH_DASHES, Rules, rules
from harness.tasks.pathfinder_stamps import DEGREES, FREE, Lists, Stamps

EVERY = [(size, difficulty) for size in CHUNK for difficulty in PATH_DASHES]
QUICK = [(32, "easy"), (32, "intermediate"), (32, "hard"), (64, "intermediate"), (128, "easy")]
SETTINGS = [*QUICK, *(pytest.param(*one, marks=pytest.mark.long) for one in EVERY if one not in QUICK)]
"""The slower ones in the long form."""
REFERENCE = [("32_hard", 8), ("32_intermediate", 4), ("32_easy", 4), ("128_hard", 4)]
"""Pictures of the original generator, and how many chunks of ours they are compared with."""
LIMIT = 4.0
"""Standard errors. Of the 90 independent comparisons below, one in 200 suites would exceed it by chance, and the seed
is fixed."""
TABLE = {
    "32_hard": (3750, {"mean": 0.0791, "above 0": 0.3414, "above 63": 0.1256, "above 127": 0.0850}),
    "32_intermediate": (500, {"mean": 0.0605, "above 0": 0.2658, "above 63": 0.0934, "above 127": 0.0637}),
    "32_easy": (500, {"mean": 0.0508, "above 0": 0.2276, "above 63": 0.0761, "above 127": 0.0521}),
    "128_hard": (400, {"mean": 0.0309, "above 0": 0.1368, "above 63": 0.0408, "above 127": 0.0302}),
}
"""Means over a longer run of the original generator, from which the reference pictures are a part; and its length."""


def features(x: np.ndarray) -> dict[str, np.ndarray]:
    """Per picture (n, P): mean, deviation, shares of pixels above levels, and a histogram of 16 levels each."""
    found = {"mean": x.mean(axis=1) / 255, "deviation": x.std(axis=1) / 255}
    found |= {f"above {level}": (x > level).mean(axis=1) for level in (0, 63, 127)}
    return found | {f"levels {low}..": ((x >= low) & (x < low + 16)).mean(axis=1) for low in range(0, 256, 16)}


def apart(ours: np.ndarray, theirs: float, error: float) -> float:
    """Difference of the means in standard errors."""
    own = ours.std(ddof=1) / math.sqrt(len(ours))
    gap = abs(float(ours.mean()) - theirs)
    return gap / math.hypot(own, error) if gap else 0.0


@pytest.mark.parametrize(("name", "chunks"), REFERENCE)
def test_pixels_are_distributed_as_in_the_original(name: str, chunks: int, data_root: Path) -> None:
    size, difficulty = name.split("_")
    drawn = rules(int(size), difficulty)  # type: ignore[arg-type]
    ours = features(np.concatenate([chunk(drawn, 1, number).x for number in range(chunks)]))
    with np.load(data_root / "pathfinder_reference.npz", allow_pickle=False) as reference:
        theirs = features(reference[f"x{name}"].reshape(-1, drawn.size**2))
    far = {
        key: z
        for key, values in theirs.items()
        if (z := apart(ours[key], values.mean(), values.std(ddof=1) / math.sqrt(len(values)))) > LIMIT
    }
    count, table = TABLE[name]
    # The table's figures are rounded to four digits: half a unit of the last.
    far |= {
        f"{key} (table)": z
        for key, value in table.items()
        if (z := apart(ours[key], value, math.hypot(theirs[key].std(ddof=1) / math.sqrt(count), 5e-5))) > LIMIT
    }
    assert not far


def between_dots(pictures: np.ndarray, radius: float) -> np.ndarray:
    """The distance of the two dots of each picture (n, s, s), found as the brightest discs; (n,)."""
    reach = math.ceil(radius)
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    # No dash is so wide that it covers a disc half a pixel smaller than a dot.
    filled = ndimage.grey_erosion(pictures, footprint=(disc <= radius - 0.5)[None], mode="constant", cval=255)
    found = []
    for _ in range(2):
        y, x = np.divmod(filled.reshape(len(filled), -1).argmax(axis=1), filled.shape[2])
        found.append((y, x))
        for picture, row, column in zip(filled, y, x, strict=True):
            rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
            picture[np.hypot(rows - row, columns - column) <= radius] = 0
    (y, x), (other_y, other_x) = found
    return np.hypot(y - other_y, x - other_x)


@pytest.mark.parametrize(("name", "chunks"), REFERENCE)
def test_paths_reach_as_far_as_in_the_original(name: str, chunks: int, data_root: Path) -> None:
    """From end to end where the dots are on one path, and from path to path where they are not."""
    size, difficulty = name.split("_")
    drawn = rules(int(size), difficulty)  # type: ignore[arg-type]
    parts = [chunk(drawn, 8, number) for number in range(chunks)]
    y, known = (np.concatenate([getattr(part, key) for part in parts]) for key in ("y", "apart"))
    x = np.concatenate([part.x for part in parts]).reshape(-1, drawn.size, drawn.size)
    ours = between_dots(x, drawn.dot_radius)
    # A dot's brightest pixel lies within a pixel of where it was drawn.
    assert (abs(ours - np.sqrt(known)) < 2).mean() > 0.99, "the dots are found where they were drawn"
    with np.load(data_root / "pathfinder_reference.npz", allow_pickle=False) as reference:
        theirs, labels = between_dots(reference[f"x{name}"], drawn.dot_radius), reference[f"y{name}"]
    for label in (0, 1):
        other = theirs[labels == label]
        assert apart(ours[y == label], other.mean(), other.std(ddof=1) / math.sqrt(len(other))) < LIMIT, label


@pytest.mark.parametrize(("size", "difficulty"), SETTINGS)
def test_both_labels_are_as_frequent(size: int, difficulty: Any) -> None:
    y = np.concatenate([chunk(rules(size, difficulty), 2, number).y for number in range(2)])
    assert abs(y.mean() - 0.5) < LIMIT * 0.5 / math.sqrt(len(y))


def place(canvas: np.ndarray, tables: Stamps, lists: Lists, position: int, direction: int) -> None:
    flat = canvas.reshape(-1)
    for offset, level in zip(lists.offsets[direction], lists.levels[direction], strict=True):
        flat[position + offset] = max(flat[position + offset], level)


def drawn_with(tables: Stamps, lists: Lists, scene: Scene, picture: int, path: int) -> np.ndarray:
    """One path alone, each of its dashes as a stamp of `lists`; flat."""
    canvas = np.zeros((tables.side, tables.side), dtype=int)
    dashes = zip(scene.paths.position[picture, path], scene.paths.direction[picture, path], strict=True)
    for position, direction in dashes:
        place(canvas, tables, lists, position, direction)
    return canvas


@pytest.mark.parametrize(("size", "difficulty"), SETTINGS)
def test_the_label_says_whether_one_path_connects_the_dots(size: int, difficulty: Any) -> None:
    wrong = 0
    for _, scene in scenes(rules(size, difficulty), 3, 0):
        tables, dots = scene.tables, scene.dots()
        for picture in range(min(40, len(dots))):
            strokes = [drawn_with(tables, tables.dash, scene, picture, path).reshape(-1) for path in (0, 1)]
            closed = [drawn_with(tables, tables.dilated, scene, picture, path) > FREE for path in (0, 1)]
            pieces = [ndimage.label(one, structure=np.ones((3, 3)))[0].reshape(-1) for one in closed]
            assert [one.max() for one in pieces] == [1, 1], "a path, its gaps closed by the margin, is in one piece"
            # A dot belongs to the path whose stroke is brightest under it; masks of the two last dashes may overlap.
            owners = [int(strokes[1][dot] > strokes[0][dot]) for dot in dots[picture]]
            assert all(pieces[owner][dot] for owner, dot in zip(owners, dots[picture], strict=True))
            wrong += (owners[0] == owners[1]) != bool(scene.label[picture])
    assert wrong == 0


def legal(drawn: Rules, scene: Scene, picture: int) -> None:
    """Replay both paths of a picture in plain loops: every dash is one that the rules allow where it stands."""
    tables, inner = scene.tables, slice(scene.tables.pad, scene.tables.pad + drawn.size)
    M = np.zeros((tables.side, tables.side), dtype=int)
    M[inner, inner] = 255
    frame = slice(tables.pad + drawn.padding, tables.pad + drawn.size - drawn.padding)
    M[frame, frame] = 0
    position, direction = scene.paths.position[picture], scene.paths.direction[picture]
    for dash in range(1, drawn.path_dashes):
        for path in (0, 1):
            new = np.zeros_like(M)
            place(new, tables, tables.mask, position[path, dash], direction[path, dash])
            assert (M + new).max() < 459, "masks add up to less than 1.8"
            place(M, tables, tables.mask, position[path, dash - 1], direction[path, dash - 1])
            y, x = np.divmod(position[path, dash - 1 : dash + 1], tables.side)
            # From one end to the next: at most the dash, the gap and the circle, each rounded up.
            reach = 2 * (drawn.L + 2 * tables.m) + 3
            assert 0 < math.hypot(y[1] - y[0], x[1] - x[0]) <= reach
            offset = tables.circle[direction[path, dash] - DEGREES]
            pivot = position[path, dash] - offset
            for end in (position[path, dash], pivot):
                row, column = np.divmod(end, tables.side)
                assert min(row, column) >= 0 and max(row, column) < tables.side
    y, x = np.divmod(position[:, 0], tables.side)
    assert abs(math.hypot(y[1] - y[0], x[1] - x[0]) - drawn.seed_distance) <= math.sqrt(0.5), "rounded to whole pixels"


@pytest.mark.parametrize(("size", "difficulty"), SETTINGS)
def test_every_dash_of_a_path_is_allowed_where_it_stands(size: int, difficulty: Any) -> None:
    drawn = rules(size, difficulty)
    for _, scene in scenes(drawn, 4, 0):
        assert scene.paths.position.shape[1:] == (2, PATH_DASHES[difficulty])
        for picture in range(min(10, len(scene.label))):
            legal(drawn, scene, picture)


@pytest.mark.parametrize(("size", "difficulty"), SETTINGS)
def test_every_size_and_difficulty_is_drawn(size: int, difficulty: Any) -> None:
    found = chunk(rules(size, difficulty), 0, 0)
    assert found.x.shape == (CHUNK[size], size * size) and (found.x.max(axis=1) == 255).all()
    assert (found.x.min(axis=1) == 0).all() and len(np.unique(found.x, axis=0)) == CHUNK[size]


def test_margins_are_drawn_per_picture_and_not_by_how_easily_they_succeed() -> None:
    counts = np.array([[len(rows) for rows, _ in scenes(rules(128, "easy"), 5, number)] for number in range(3)])
    # A binomial of 120 at 1/2; m = 3 would be some six times rarer if failed attempts drew it anew.
    assert abs(counts.sum(axis=0)[1] - 60) < LIMIT * math.sqrt(120) / 2


def test_a_seed_keeps_its_bytes() -> None:
    found = chunk(rules(32, "hard"), 0, 0)
    name = hashlib.sha256(found.x.tobytes() + found.y.tobytes() + found.apart.astype("<i4").tobytes()).hexdigest()
    assert name[:16] == "868f9709506e22e4"
