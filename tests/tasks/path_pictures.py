"""Pathfinder pictures with what the drawing knows beside the label: how far along its path every dash lies from a dot.

Legend: n pictures of s x s pixels, S dashes of a path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from harness.tasks.pathfinder_draw import Scene, render, scenes
from harness.tasks.pathfinder_rules import Rules

NOWHERE = 255
"""Where no path lies, and on a path that no dot sits on."""
STROKE = 64
"""A dash or a dot covers the pixels where its stamp is brighter than this, of 255."""


@dataclass(frozen=True)
class Drawn:
    """Pictures and `away`, uint8 (n, 1, s, s); labels (n,) float32; squared distance of the dots (n,) int32.

    `away`: dashes between the one that a pixel belongs to and the nearest dot on the same path.
    """

    x: torch.Tensor
    away: torch.Tensor
    y: torch.Tensor
    apart: torch.Tensor

    def of(self, rows: torch.Tensor) -> Drawn:
        return Drawn(self.x[rows], self.away[rows], self.y[rows], self.apart[rows])

    def to(self, device: str) -> Drawn:
        return Drawn(*(one.to(device) for one in (self.x, self.away, self.y, self.apart)))


def drawn(rules: Rules, seed: int, chunks: int) -> Drawn:
    """The first chunks of a seed."""
    parts: list[tuple[np.ndarray, ...]] = []
    for number in range(chunks):
        for _, scene in scenes(rules, seed, number):
            y, x = np.divmod(scene.dots(), scene.tables.side)
            apart = ((y[:, 0] - y[:, 1]) ** 2 + (x[:, 0] - x[:, 1]) ** 2).astype(np.int32)
            pixels = render(rules, scene).reshape(-1, 1, rules.size, rules.size)
            parts.append((pixels, away(rules, scene)[:, None], scene.label.astype(np.float32), apart))
    return Drawn(*(torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)))


def away(rules: Rules, scene: Scene) -> np.ndarray:
    """Dashes to the nearest dot on the same path, uint8 (n, s, s)."""
    tables, count, S = scene.tables, len(scene.label), rules.path_dashes
    canvas = np.full((count, tables.side**2), NOWHERE, dtype=np.uint8)
    last = np.where(scene.label == 1, scene.first, 1 - scene.first)
    every = np.arange(count)[:, None]
    for path in (0, 1):
        for dash in range(S):
            from_first = np.where(scene.first == path, dash, NOWHERE)
            from_last = np.where(last == path, S - 1 - dash, NOWHERE)
            direction = scene.paths.direction[:, path, dash]
            pixels = scene.paths.position[:, path, dash, None] + tables.dash.offsets[direction]
            nearest = np.where(
                tables.dash.levels[direction] > STROKE, np.minimum(from_first, from_last)[:, None], NOWHERE
            )
            canvas[every, pixels] = np.minimum(canvas[every, pixels], nearest.astype(np.uint8))
    # A dot hides the dash that it sits on.
    covered = tables.dot.offsets[0][tables.dot.levels[0] > STROKE]
    canvas[every[:, :, None], scene.dots()[:, :, None] + covered] = 0
    inner = slice(tables.pad, tables.pad + rules.size)
    return canvas.reshape(count, tables.side, tables.side)[:, inner, inner]


def turned(pictures: Drawn, which: int) -> Drawn:
    """One of the 8 symmetries of the square, which leave the label as it is."""

    def turn(one: torch.Tensor) -> torch.Tensor:
        one = torch.rot90(one, which % 4, dims=(-2, -1))
        return one.flip(-1) if which >= 4 else one

    return Drawn(turn(pictures.x), turn(pictures.away), pictures.y, pictures.apart)


def batches(pictures: Drawn, size: int, count: int, seed: int) -> Iterator[Drawn]:
    """`count` batches, every picture before any again, each batch in a symmetry of its own."""
    rng = np.random.default_rng(seed)
    left = np.zeros(0, dtype=np.int64)
    for _ in range(count):
        if len(left) < size:
            left = rng.permutation(len(pictures.y))
        rows, left = left[:size], left[size:]
        yield turned(pictures.of(torch.from_numpy(rows).to(pictures.y.device)), int(rng.integers(8)))


def alike(pictures: Drawn) -> Drawn:
    """As many of either label at every distance of the dots, in bins of 1/32 of a side."""
    bins = (pictures.apart.sqrt() * 32 / pictures.x.shape[-1]).floor()
    rows = []
    for one in bins.unique():
        sides = [torch.nonzero((bins == one) & (pictures.y == label))[:, 0] for label in (0, 1)]
        rows += [side[: min(map(len, sides))] for side in sides]
    return pictures.of(torch.cat(rows))
