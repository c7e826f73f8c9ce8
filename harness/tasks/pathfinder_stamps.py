"""The dashes and dots of Pathfinder as small pictures, and how a path may turn: tables that growing paths looks up.

A dash of length L and width w is drawn at A times the resolution and scaled down; its mask is the dash dilated by a
disc of radius m, scaled down likewise. A path grows towards one of the C whole pixels on the circle of radius L + m
around its pivot, so that it has only 360 + C directions: whole degrees for the first dash, then the C of the circle.

Legend: O = 360 + C directions, K entries of a list; t angle, u(t) = (sin t, cos t) in rows and columns.

Source: Kim, Linsley, Thakkar and Serre 2020, and the generator they published.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from harness.tasks.pathfinder_rules import Rules

Integers = NDArray[np.int64]
Levels = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Angles = NDArray[np.float64]

A = 2
"""How much finer a dash is drawn before it is scaled down."""
DEGREES = 360
ONE = 1 << 30
"""The weight 1 in integers, whose sums are the same on every machine."""
CROWDED = 459
"""A dash is refused where its mask and the masks before it add up to 1.8 or more of 255."""
FREE = 76
"""Levels up to 0.3 of 255 count as free."""


@dataclass(frozen=True)
class Lists:
    """Per direction a list of pixels: offsets int64 (O, K) in a canvas laid flat, and levels uint8 (O, K).

    Shorter lists repeat their last entry, which changes no maximum.
    """

    offsets: Integers
    levels: Levels


@dataclass(frozen=True)
class Stamps:
    """Tables for one margin. A canvas has `side` x `side` pixels: the picture, and `pad` pixels around it."""

    m: int
    pad: int
    side: int
    dash: Lists
    mask: Lists
    """Only the levels above `FREE`: lower ones decide nothing."""
    dilated: Lists
    """The mask dilated by a disc of radius m, which is what keeps the next dashes away."""
    core: Lists
    """Where a mask is high enough to be refused; levels are the highest that the canvas may have there."""
    tail: Lists
    """Where the mask of a first dash is full, as seen from its tail; levels are 255."""
    tail_box: Integers
    """(360, 4): the least and greatest row, the least and greatest column of `tail`."""
    begins: Flags
    """(360,): whether a first dash may have this direction: its `tail` must reach into all four quadrants.

    The published generator dilates by `tail` with a border of minus infinity, and finds no room at all where that
    border shows at a corner of the picture. At 32 pixels this leaves 30 of the 360 directions.
    """
    turns: Integers
    """(O, K): which of the C pixels of the circle a path may turn to; repeats have weight 0."""
    weights: Integers
    """(O, K), in units of `ONE`."""
    circle: Integers
    """(C,): offsets of those pixels from the pivot."""
    advance: Angles
    """(O, 2): from a pivot to the next one, L + 2m along the direction."""
    to_head: Angles
    """(360, 2): from the tail of a first dash to its head, L along the direction."""
    to_pivot: Angles
    """(360, 2): from the head of a first dash to its pivot, L + m back."""
    dot: Lists
    """Of one entry: dots have no direction."""

    def moved(self, position: Integers, step: Angles) -> Integers:
        """ceil(position + step) in rows and columns of the picture; (n,) and (n, 2) to (n,)."""
        y, x = np.divmod(position, self.side)
        y = np.ceil(y - self.pad + step[:, 0]).astype(np.int64)
        x = np.ceil(x - self.pad + step[:, 1]).astype(np.int64)
        return np.asarray((y + self.pad) * self.side + x + self.pad, dtype=np.int64)

    def digest(self) -> str:
        """Names the content of the tables: 64 hex digits."""
        content = hashlib.sha256()
        for part in (self.dash, self.mask, self.dilated, self.core, self.tail, self.dot):
            content.update(part.offsets.tobytes() + part.levels.tobytes())
        for table in (self.tail_box, self.begins, self.turns, self.weights, self.circle):
            content.update(table.tobytes())
        for step in (self.advance, self.to_head, self.to_pivot):
            content.update(step.tobytes())
        return content.hexdigest()


@functools.lru_cache(maxsize=8)
def stamps(rules: Rules, m: int) -> Stamps:
    """The tables for the margin m."""
    L, half = rules.L, rules.L + math.ceil(rules.w) + m
    pad = half + m
    side = rules.size + 2 * pad
    circle = _circle(L + m)
    t = np.concatenate([np.arange(-180, 180) * np.pi / 180, np.arctan2(circle[:, 0], circle[:, 1])])
    back = np.where(t < 0, t + np.pi, t - np.pi)
    # After the first, a dash is drawn from its head back towards the pivot.
    drawn = np.where(np.arange(len(t)) < DEGREES, t, back)
    dash, mask = _drawn(drawn, L, rules.w, m, half)
    first = mask[:DEGREES] == 255
    reach = np.abs(np.arange(-half, half + 1) + 1) <= L + m
    # The published generator anchors this stamp one pixel off, and clips it to L + m around its anchor.
    first &= reach[:, None] & reach[None, :]
    rows, columns = first.any(axis=2), first.any(axis=1)
    box = np.stack([f(line) for line in (rows, columns) for f in (_first, _last)], axis=1) - half + 1
    turns, weights = _turns(t, t[DEGREES:], rules.continuity)
    core = np.where(mask > CROWDED - 1 - 255, mask, 0)
    limits = _lists(core, side)
    return Stamps(
        m=m,
        pad=pad,
        side=side,
        dash=_lists(dash, side),
        mask=_lists(np.where(mask > FREE, mask, 0), side),
        dilated=_lists(_dilated(np.pad(mask, ((0, 0), (m, m), (m, m))), m), side),
        core=Lists(limits.offsets, (CROWDED - 1 - limits.levels.astype(np.int64)).astype(np.uint8)),
        tail=_lists(np.where(first, np.uint8(255), np.uint8(0)), side, shift=1),
        tail_box=box,
        begins=_quadrants(first, half - 1),
        turns=turns,
        weights=weights,
        circle=circle @ (side, 1),
        advance=(L + 2 * m) * directions(t),
        to_head=L * directions(t[:DEGREES]),
        to_pivot=(L + m) * directions(back[:DEGREES]),
        dot=_dot(rules.dot_radius, side),
    )


def directions(t: Angles) -> Angles:
    """u(t), (n, 2), by the C library: its last bit decides whether some exact steps are rounded up by a pixel."""
    return np.array([(math.sin(one), math.cos(one)) for one in t])


def _circle(radius: int) -> Integers:
    """The C distinct pixels met on the circle when it is walked a pixel's length at a time, (C, 2)."""
    degrees = np.arange(0, 360, 360 / (2 * radius * np.pi))
    t = degrees * np.pi / 180
    return np.unique(np.floor(radius * directions(t)).astype(np.int64), axis=0)


def _turns(t: Angles, onto: Angles, continuity: float) -> tuple[Integers, Integers]:
    """max(cos(min(continuity |t_i - t|, pi/2)), 0)^2 where it is not 0, as lists of i and weight."""
    apart = np.abs(onto[None, :] - t[:, None])
    apart = np.minimum(apart, 2 * np.pi - apart)
    weight = np.rint(np.cos(np.minimum(continuity * apart, np.pi / 2)) ** 2 * ONE).astype(np.int64)
    order = np.argsort(weight == 0, axis=1, kind="stable")[:, : (weight > 0).sum(axis=1).max()]
    return order, np.take_along_axis(weight, order, axis=1)


def _drawn(t: Angles, L: int, w: float, m: int, half: int) -> tuple[Levels, Levels]:
    """Dashes from the centre along t, and their masks; each uint8 (n, 2 half + 1, 2 half + 1)."""
    side, centre = 2 * half * A + 1, half * A
    fine = np.zeros((len(t), side, side), dtype=np.uint8)
    heads = np.ceil(centre + A * L * directions(t))
    for picture, (row, column) in zip(fine, heads.tolist(), strict=True):
        canvas = Image.new("L", (side, side))
        ImageDraw.Draw(canvas).line([(centre, centre), (column, row)], fill=255, width=round(w * A))
        picture[:] = np.asarray(canvas)
    return _scaled(fine, 2 * half + 1), _scaled(_dilated(fine, m * A), 2 * half + 1)


def _scaled(fine: Levels, side: int) -> Levels:
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.LANCZOS)) for one in fine])


def _dilated(pictures: Levels, radius: int) -> Levels:
    """The greatest level within a disc, (n, h, h) to (n, h, h)."""
    result = np.zeros_like(pictures)
    h = pictures.shape[1]
    for dy in range(-radius, radius + 1):
        reach = math.isqrt(radius * radius - dy * dy)
        for dx in range(-reach, reach + 1):
            here = result[:, max(0, dy) : h + min(0, dy), max(0, dx) : h + min(0, dx)]
            there = pictures[:, max(0, -dy) : h + min(0, -dy), max(0, -dx) : h + min(0, -dx)]
            np.maximum(here, there, out=here)
    return result


def _dot(radius: float, side: int) -> Lists:
    half = math.ceil(radius) + 3
    y = np.arange(-half * A, (half + 1) * A)
    disc = (y[:, None] ** 2 + y[None, :] ** 2 <= (radius * A) ** 2).astype(np.uint8) * 255
    return _lists(_scaled(disc[None], 2 * half + 1), side)


def _lists(pictures: Levels, side: int, shift: int = 0) -> Lists:
    """The pixels that are not 0, with offsets from the centre moved by `shift` down and right."""
    n, h, _ = pictures.shape
    flat = pictures.reshape(n, -1)
    counts = (flat > 0).sum(axis=1)
    order = np.argsort(flat == 0, axis=1, kind="stable")
    entry = np.take_along_axis(order, np.minimum(np.arange(counts.max()), counts[:, None] - 1), axis=1)
    y, x = np.divmod(entry, h)
    return Lists((y - h // 2 + shift) * side + x - h // 2 + shift, np.take_along_axis(flat, entry, axis=1))


def _quadrants(pictures: Flags, centre: int) -> Flags:
    """Whether a picture has a pixel in each of the four closed quadrants around (centre, centre); (n, h, h) to (n,)."""
    halves = (slice(None, centre + 1), slice(centre, None))
    every = [pictures[:, rows, columns].any(axis=(1, 2)) for rows in halves for columns in halves]
    return np.asarray(np.all(every, axis=0), dtype=np.bool_)


def _first(lines: Flags) -> Integers:
    return np.asarray(lines.argmax(axis=1), dtype=np.int64)


def _last(lines: Flags) -> Integers:
    return np.asarray(lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1), dtype=np.int64)
