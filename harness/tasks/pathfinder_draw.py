"""Pathfinder pictures: paths, distractors and dots as gray levels, in chunks that depend on no other.

Legend: n pictures, P = size * size pixels.

Source: Kim, Linsley, Thakkar and Serre 2020, and the generator they published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.tasks.pathfinder_distractors import distractors
from harness.tasks.pathfinder_paths import Dashes, Draws, stamp, two_paths
from harness.tasks.pathfinder_rules import Rules
from harness.tasks.pathfinder_stamps import Flags, Integers, Levels, Stamps, stamps

CHUNK = {32: 250, 64: 100, 128: 40, 256: 20}
"""Pictures of each size that are drawn together."""


@dataclass(frozen=True)
class Pictures:
    """n pictures: gray levels uint8 (n, P), labels uint8 (n,), squared distance of the two dots int32 (n,)."""

    x: Levels
    y: Levels
    apart: NDArray[np.int32]

    def first(self, count: int) -> Pictures:
        return Pictures(self.x[:count], self.y[:count], self.apart[:count])


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
    """Chunk `number` of a seed, which depends on no other."""
    size = CHUNK[rules.size]
    found = Pictures(np.zeros((size, rules.size**2), np.uint8), np.zeros(size, np.uint8), np.zeros(size, np.int32))
    for rows, scene in scenes(rules, seed, number):
        found.x[rows] = render(rules, scene)
        found.y[rows] = scene.label
        y, x = np.divmod(scene.dots(), scene.tables.side)
        found.apart[rows] = (y[:, 0] - y[:, 1]) ** 2 + (x[:, 0] - x[:, 1]) ** 2
    return found


def scenes(rules: Rules, seed: int, number: int) -> list[tuple[Integers, Scene]]:
    """The scenes of a chunk, one for each margin, with the rows of the chunk that they are."""
    draws = Draws(seed, number)
    size = CHUNK[rules.size]
    label, first, margin = (draws.below(bound, size) for bound in (2, 2, len(rules.margins)))
    result = []
    for index, m in enumerate(rules.margins):
        rows = np.flatnonzero(margin == index)
        tables = stamps(rules, m)
        canvases, paths = two_paths(rules, tables, len(rows), draws)
        short, placed = distractors(rules, canvases, draws)
        result.append((rows, Scene(tables, label[rows], first[rows], paths, short, placed)))
    return result


def render(rules: Rules, scene: Scene) -> Levels:
    """The pictures, each stretched to 0..255 as it was saved; uint8 (n, P).

    Dashes are rounded to float32 before they are stretched, as they were: at a contrast of 1.5 every odd level lies
    half-way between two, and this decides which it becomes.
    """
    tables, count = scene.tables, len(scene.label)
    canvas = np.zeros((count, tables.side**2))
    base = np.arange(count) * canvas.shape[1]
    flat = canvas.reshape(-1)
    for dashes, drawn, contrast in (
        (scene.paths, np.ones(scene.paths.position.shape[:2], dtype=bool), rules.path_contrast),
        (scene.distractors, scene.placed, rules.distractor_contrast),
    ):
        levels = (tables.dash.levels / 255 * contrast).astype(np.float32)
        for path in range(drawn.shape[1]):
            rows = np.flatnonzero(drawn[:, path])
            for position, direction in zip(dashes.position[rows, path].T, dashes.direction[rows, path].T, strict=True):
                stamp(flat, base[rows] + position, tables.dash.offsets[direction], levels[direction])
    for position in scene.dots().T:
        stamp(flat, base + position, tables.dot.offsets, tables.dot.levels / 255)
    inner = slice(tables.pad, tables.pad + rules.size)
    values = canvas.reshape(count, tables.side, tables.side)[:, inner, inner].reshape(count, rules.size**2)
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return np.asarray((values - low) * (255 / (high - low)) + 0.5, dtype=np.uint8)
