"""Pathfinder pictures: paths, distractors and dots as gray levels, in chunks that depend on no other.

Legend: n pictures, P = size * size pixels.

Source: Kim, Linsley, Thakkar and Serre 2020, and the generator they published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.tasks.pathfinder_paths import Canvases, Dashes, Draws, Flags, distractors, stamp, two_paths
from harness.tasks.pathfinder_rules import Rules
from harness.tasks.pathfinder_stamps import Integers, Levels, Lists, Stamps, stamps

CHUNK = 250
"""Pictures that are drawn together."""
DOT_TENTHS = 10


@dataclass(frozen=True)
class Pictures:
    """n pictures: gray levels uint8 (n, P), labels uint8 (n,), squared distance of the two dots int32 (n,)."""

    x: Levels
    y: Levels
    apart: NDArray[np.int32]


@dataclass(frozen=True)
class Scene:
    """Everything that was drawn in n pictures of one margin."""

    tables: Stamps
    label: Integers
    first: Integers
    """Which path the first dot begins on, (n,)."""
    paths: Dashes
    distractors: Dashes
    placed: Flags

    def dots(self) -> Integers:
        """Positions (n, 2): the beginning of a path, and the end of it (label 1) or of the other one."""
        every = np.arange(len(self.label))
        last = np.where(self.label == 1, self.first, 1 - self.first)
        return np.stack([self.paths.position[every, self.first, 0], self.paths.position[every, last, -1]], axis=1)


def chunk(rules: Rules, seed: int, number: int) -> Pictures:
    """Chunk `number` of a seed: CHUNK pictures."""
    found = Pictures(
        np.zeros((CHUNK, rules.size**2), np.uint8), np.zeros(CHUNK, np.uint8), np.zeros(CHUNK, np.int32)
    )
    for rows, scene in scenes(rules, seed, number):
        found.x[rows] = render(rules, scene)
        found.y[rows] = scene.label
        y, x = np.divmod(scene.dots(), scene.tables.side)
        found.apart[rows] = (y[:, 0] - y[:, 1]) ** 2 + (x[:, 0] - x[:, 1]) ** 2
    return found


def scenes(rules: Rules, seed: int, number: int) -> list[tuple[Integers, Scene]]:
    """The scenes of a chunk, one for each margin, with the rows of the chunk that they are."""
    draws = Draws(seed, number)
    label, first = draws.below(2, CHUNK), draws.below(2, CHUNK)
    margin = draws.below(len(rules.margins), CHUNK)
    result = []
    for index, m in enumerate(rules.margins):
        rows = np.flatnonzero(margin == index)
        tables = stamps(rules, m)
        canvases, paths = two_paths(rules, tables, len(rows), draws)
        short, placed = distractors(rules, canvases, draws)
        result.append((rows, Scene(tables, label[rows], first[rows], paths, short, placed)))
    return result


def render(rules: Rules, scene: Scene) -> Levels:
    """The pictures, each stretched to 0..255 as it was saved; uint8 (n, P)."""
    tables, count = scene.tables, len(scene.label)
    canvas = np.zeros((count, tables.side**2), dtype=np.int32)
    base = np.arange(count) * canvas.shape[1]
    flat = canvas.reshape(-1)
    for dashes, drawn, tenths in (
        (scene.paths, np.ones(scene.paths.position.shape[:2], dtype=bool), rules.path_tenths),
        (scene.distractors, scene.placed, rules.distractor_tenths),
    ):
        lists = Lists(tables.dash.offsets, tables.dash.levels.astype(np.int32) * tenths)
        for path in range(drawn.shape[1]):
            rows = np.flatnonzero(drawn[:, path])
            for dash in range(dashes.position.shape[2]):
                stamp(flat, base[rows] + dashes.position[rows, path, dash], dashes.direction[rows, path, dash], lists)
    offsets, levels = tables.dot
    for position in scene.dots().T:
        pixels = (base + position)[:, None] + offsets
        flat[pixels] = np.maximum(flat[pixels], levels.astype(np.int32) * DOT_TENTHS)
    inner = slice(tables.pad, tables.pad + rules.size)
    values = canvas.reshape(count, tables.side, tables.side)[:, inner, inner].reshape(count, rules.size**2)
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return np.asarray((2 * 255 * (values - low) + high - low) // (2 * (high - low)), dtype=np.uint8)
