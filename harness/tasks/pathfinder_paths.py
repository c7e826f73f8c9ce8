"""Growing dashed paths, many pictures at a time, one dash after another.

A canvas keeps, for each picture, the masks of what is drawn (M) and their dilation by the margin (D). A path turns to a
pixel of the circle around its pivot with probability proportional to (255 - D) times the weight of the turn, and the
dash is accepted where its mask and M stay below 1.8. The two long paths of a picture grow in turn; where either fails,
both are begun anew, which happens some 350 times for one hard picture of 32 x 32.

Legend: R canvases that grow at a time, S dashes of a path; positions are offsets in a canvas laid flat. All draws are
raw PCG64 words and integer arithmetic, so a seed gives the same paths on any machine.

Source: Kim, Linsley, Thakkar and Serre 2020, and the generator they published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.tasks.pathfinder_rules import Rules
from harness.tasks.pathfinder_stamps import DEGREES, ONE, Flags, Integers, Levels, Stamps, directions

TRIES = 3
"""Draws of a dash before a path fails."""
DEAD_END = 255 * ONE // 10_000
"""A path fails where the weights of its turns add up to less than 1e-4."""
CANVAS_BYTES = 1 << 25


class Draws:
    """Whole numbers from raw words; the modulus is biased by less than 1e-6 of what it draws."""

    def __init__(self, *entropy: int) -> None:
        self._words = np.random.PCG64(np.random.SeedSequence(entropy[0], spawn_key=entropy[1:]))

    def below(self, bound: int | Integers, shape: int | tuple[int, ...]) -> Integers:
        """Uniform in 0 .. bound-1, of the shape; bounds broadcast."""
        words = self._words.random_raw(shape) >> np.uint64(1)
        return np.asarray(words.astype(np.int64) % bound, dtype=np.int64)


@dataclass(frozen=True)
class Dashes:
    """Where each dash of each path is drawn, and its direction; both int64 (R, paths, S)."""

    position: Integers
    direction: Integers

    def of(self, rows: Integers) -> Dashes:
        return Dashes(self.position[rows], self.direction[rows])


class Canvases:
    """M and D of R pictures, uint8 (R, side * side)."""

    def __init__(self, tables: Stamps, M: Levels, D: Levels) -> None:
        self.tables, self.M, self.D = tables, M, D

    @classmethod
    def empty(cls, rules: Rules, tables: Stamps, count: int) -> Canvases:
        """A frame of width `padding`; outside the picture no mask, and no room for a path either."""
        edge = tables.pad
        M = np.zeros((tables.side, tables.side), dtype=np.uint8)
        D = np.full_like(M, 255)
        picture = slice(edge, edge + rules.size)
        M[picture, picture] = 255
        inside = slice(edge + rules.padding, edge + rules.size - rules.padding)
        M[inside, inside] = 0
        kept = edge + rules.padding + tables.m
        D[kept:-kept, kept:-kept] = 0
        return cls(tables, np.tile(M.ravel(), (count, 1)), np.tile(D.ravel(), (count, 1)))

    def of(self, rows: Integers) -> Canvases:
        """A copy of some of them."""
        return Canvases(self.tables, self.M[rows], self.D[rows])

    def put(self, rows: Integers, other: Canvases) -> None:
        self.M[rows], self.D[rows] = other.M, other.D

    def merge(self, rows: Integers, position: Integers, direction: Integers) -> None:
        """Add the masks of one dash for each of the rows."""
        base = rows * self.M.shape[1] + position
        for canvas, lists in ((self.M, self.tables.mask), (self.D, self.tables.dilated)):
            stamp(canvas.reshape(-1), base, lists.offsets[direction], lists.levels[direction])


def stamp(canvas: NDArray[Any], position: Integers, offsets: Integers, levels: NDArray[Any]) -> None:
    """canvas = max(canvas, levels (n, K) or (1, K)) at each position (n,) plus its offsets; the canvas is flat."""
    pixels = position[:, None] + offsets
    canvas[pixels] = np.maximum(canvas[pixels], levels)


@dataclass
class Ends:
    """The growing end of one path in each of R canvases, (R,)."""

    pivot: Integers
    position: Integers
    """Of the last dash, whose mask is not yet in M: neighbours nearly touch."""
    direction: Integers

    def of(self, rows: Integers | Flags) -> Ends:
        return Ends(self.pivot[rows], self.position[rows], self.direction[rows])


def begin(tables: Stamps, tail: Integers, degree: Integers) -> Ends:
    """A first dash from `tail`, `degree` of the 360."""
    return Ends(tables.moved(first_head(tables, tail, degree), tables.to_pivot[degree]), tail, degree)


def first_head(tables: Stamps, tail: Integers, degree: Integers) -> Integers:
    return tables.moved(tail, tables.to_head[degree])


def extend(canvases: Canvases, rows: Integers, ends: Ends, draws: Draws) -> tuple[Flags, Ends]:
    """Grow each path by one dash: where it succeeded (R,), and the new ends of those that did."""
    tables = canvases.tables
    M, D, area = canvases.M.reshape(-1), canvases.D.reshape(-1), canvases.M.shape[1]
    pivot = tables.moved(ends.pivot, tables.advance[ends.direction])
    turns = tables.turns[ends.direction]
    heads = pivot[:, None] + tables.circle[turns]
    base = rows * area
    room = np.int64(255) - D[base[:, None] + heads]
    chance = np.cumsum(room * tables.weights[ends.direction], axis=1)
    found = np.zeros(len(rows), dtype=bool)
    new = Ends(pivot, np.zeros_like(pivot), np.zeros_like(pivot))
    pending = np.flatnonzero(chance[:, -1] >= DEAD_END)
    for _ in range(TRIES):
        drawn = draws.below(chance[pending, -1], len(pending))
        pick = (chance[pending] <= drawn[:, None]).sum(axis=1)
        head, direction = heads[pending, pick], DEGREES + turns[pending, pick]
        core = (base[pending] + head)[:, None] + tables.core.offsets[direction]
        fits = (M[core] <= tables.core.levels[direction]).all(axis=1)
        placed = pending[fits]
        found[placed], new.position[placed], new.direction[placed] = True, head[fits], direction[fits]
        pending = pending[~fits]
    canvases.merge(rows[found], ends.position[found], ends.direction[found])
    return found, new.of(found)


def two_paths(rules: Rules, tables: Stamps, count: int, draws: Draws) -> tuple[Canvases, Dashes]:
    """The first `count` pictures in which both paths reach their full length; dashes (count, 2, S)."""
    batch = max(64, min(4096, CANVAS_BYTES // tables.side**2))
    canvases: list[Canvases] = []
    dashes: list[Dashes] = []
    have = 0
    while have < count:
        attempt, whole, grown = _attempt(rules, tables, batch, draws)
        whole = whole[: count - have]
        canvases.append(attempt.of(whole))
        dashes.append(grown.of(whole))
        have += len(whole)
    return (
        Canvases(tables, *(np.concatenate([getattr(one, name) for one in canvases]) for name in ("M", "D"))),
        Dashes(*(np.concatenate([getattr(one, name) for one in dashes]) for name in ("position", "direction"))),
    )


def _attempt(rules: Rules, tables: Stamps, batch: int, draws: Draws) -> tuple[Canvases, Integers, Dashes]:
    """`batch` attempts: their canvases, which of them are whole, and the dashes of all."""
    canvases = Canvases.empty(rules, tables, batch)
    shape = (batch, 2, rules.path_dashes)
    dashes = Dashes(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))
    rows = np.arange(batch)
    tails, degrees = _seeds(rules, tables, batch, draws)
    ends = [begin(tables, tail, degree) for tail, degree in zip(tails, degrees, strict=True)]
    for dash in range(rules.path_dashes):
        for path in (0, 1):
            if dash:
                grown, new = extend(canvases, rows, ends[path], draws)
                rows = rows[grown]
                ends = [new if index == path else end.of(grown) for index, end in enumerate(ends)]
            dashes.position[rows, path, dash] = ends[path].position
            dashes.direction[rows, path, dash] = ends[path].direction
    # As published, only the second path's last mask keeps the distractors away.
    canvases.merge(rows, ends[1].position, ends[1].direction)
    return canvases, rows, dashes


def _seeds(
    rules: Rules, tables: Stamps, count: int, draws: Draws
) -> tuple[tuple[Integers, Integers], tuple[Integers, Integers]]:
    """The tails and degrees of both paths' first dashes.

    The mask of the first one lies within a square around the middle; the second one begins `seed_distance` away, and
    never leaves a picture of these sizes.
    """
    low, high = 2 * rules.seed_distance, rules.size - 2 * rules.seed_distance - 1
    box = tables.tail_box
    rooms = [high - low + 1 - (box[:, 2 * axis + 1] - box[:, 2 * axis]) for axis in (0, 1)]
    possible = np.flatnonzero(tables.begins & (rooms[0] > 0) & (rooms[1] > 0))
    degree = possible[draws.below(len(possible), count)]
    tail = [low - box[degree, 2 * axis] + draws.below(rooms[axis][degree], count) for axis in (0, 1)]
    around = rules.seed_distance * directions(np.arange(DEGREES) * np.pi / 180)[draws.below(DEGREES, count)]
    other = [np.rint(tail[axis] + around[:, axis]).astype(np.int64) for axis in (0, 1)]
    tails = [(y + tables.pad) * tables.side + x + tables.pad for y, x in (tail, other)]
    return (tails[0], tails[1]), (degree, draws.below(DEGREES, count))
