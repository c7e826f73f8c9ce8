"""Distractors of Pathfinder: short dashed paths in what room the two long ones leave.

Legend: R canvases, S dashes of a distractor; positions are offsets in a canvas laid flat.

Source: Kim, Linsley, Thakkar and Serre 2020, and the generator they published.
"""

from __future__ import annotations

import numpy as np

from harness.tasks.pathfinder_paths import TRIES, Canvases, Dashes, Draws, Ends, begin, extend, first_head
from harness.tasks.pathfinder_rules import Rules
from harness.tasks.pathfinder_stamps import DEGREES, FREE, Flags, Integers, Stamps

DISTRACTOR_TRIES = 5
QUICK_DRAWS = 64
"""Pixels tried as the tail of a distractor before every pixel is looked at."""


def distractors(rules: Rules, canvases: Canvases, draws: Draws) -> tuple[Dashes, Flags]:
    """Short paths in what room is left; dashes (R, distractors, S), and which of them found room (R, distractors)."""
    count = len(canvases.M)
    shape = (count, rules.distractors, rules.distractor_dashes)
    dashes = Dashes(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))
    placed = np.zeros(shape[:2], dtype=bool)
    for path in range(rules.distractors):
        pending = np.arange(count)
        for _ in range(DISTRACTOR_TRIES):
            trial = canvases.of(pending)
            rows, grown = _distractor(rules, trial, draws)
            done = pending[rows]
            canvases.put(done, trial.of(rows))
            dashes.position[done, path], dashes.direction[done, path] = grown.position[:, 0], grown.direction[:, 0]
            placed[done, path] = True
            pending = np.delete(pending, rows)
            if not len(pending):
                break
    return dashes, placed


def _distractor(rules: Rules, canvases: Canvases, draws: Draws) -> tuple[Integers, Dashes]:
    """One attempt at a short path in each canvas, its masks merged: the rows where it succeeded, and its dashes."""
    rows, ends = _first_dashes(rules, canvases, draws)
    grown = [(ends.position, ends.direction)]
    for _ in range(rules.distractor_dashes - 1):
        found, ends = extend(canvases, rows, ends, draws)
        rows = rows[found]
        grown = [(position[found], direction[found]) for position, direction in grown]
        grown.append((ends.position, ends.direction))
    canvases.merge(rows, ends.position, ends.direction)
    position, direction = (np.stack(parts, axis=1)[:, None] for parts in zip(*grown, strict=True))
    return rows, Dashes(position, direction)


def _first_dashes(rules: Rules, canvases: Canvases, draws: Draws) -> tuple[Integers, Ends]:
    """A first dash where there is room: the rows, and the ends they grow from.

    A dash whose head or pivot leaves the picture is drawn again, with another direction, up to TRIES times in all.
    """
    tables, count = canvases.tables, len(canvases.M)
    ends = begin(tables, np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64))
    found = np.zeros(count, dtype=bool)
    pending = np.arange(count)
    for _ in range(TRIES):
        degree = draws.below(DEGREES, len(pending))
        roomy, tail = free_tails(rules, canvases, pending, degree, draws)
        pending, new = pending[roomy], begin(tables, tail, degree[roomy])
        head = first_head(tables, tail, degree[roomy])
        inside = _in_picture(rules, tables, head) & _in_picture(rules, tables, new.pivot)
        for kept, values in zip(vars(ends).values(), vars(new).values(), strict=True):
            kept[pending[inside]] = values[inside]
        found[pending[inside]] = True
        pending = pending[~inside]
    rows = np.flatnonzero(found)
    return rows, ends.of(rows)


def _in_picture(rules: Rules, tables: Stamps, position: Integers) -> Flags:
    within = [(axis >= tables.pad) & (axis < tables.pad + rules.size) for axis in np.divmod(position, tables.side)]
    return np.asarray(within[0] & within[1], dtype=np.bool_)


def free_tails(
    rules: Rules, canvases: Canvases, rows: Integers, degree: Integers, draws: Draws
) -> tuple[Integers, Integers]:
    """Which of the rows have a free tail for a first dash of `degree`, and one such tail each, uniformly.

    A tail is free where the full part of the dash's mask meets no taken pixel and no border. Uniform pixels are tried
    first; the first free one is uniform over the free ones, and only where none is found is every pixel looked at.
    """
    tables, side, size = canvases.tables, canvases.tables.side, rules.size
    taken = (canvases.M[rows] > FREE).reshape(len(rows), side, side)
    picture = taken[:, tables.pad : tables.pad + size, tables.pad : tables.pad + size]
    roomy = np.flatnonzero(tables.begins[degree] & ((~picture).sum(axis=(1, 2)) * 100 >= size * size))
    for line in (0, -1):
        picture[:, line, :] = picture[:, :, line] = True
    flat, offsets = taken.reshape(len(rows), side**2), tables.tail.offsets[degree]
    every = np.arange(size * size)
    inner = (every // size + tables.pad) * side + every % size + tables.pad
    drawn = inner[draws.below(size * size, (len(roomy), QUICK_DRAWS))]
    clear = ~flat[roomy[:, None, None], drawn[:, :, None] + offsets[roomy, None, :]].any(axis=2)
    tail = drawn[np.arange(len(roomy)), clear.argmax(axis=1)]
    found = clear.any(axis=1)
    for at in np.flatnonzero(~found):
        free = inner[~flat[roomy[at]][inner[:, None] + offsets[roomy[at]]].any(axis=1)]
        if len(free):
            tail[at], found[at] = free[draws.below(len(free), 1)[0]], True
    return roomy[found], tail[found]
