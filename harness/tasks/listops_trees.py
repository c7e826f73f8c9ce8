"""ListOps trees by the rules of Long Range Arena, many at a time, one depth after another.

A node above the deepest level is an operator with probability 1/4, else a digit; an operator has 2..max_args
arguments. Written in prefix form, `[MAX 1 2 ]`, a tree has 1 token per digit and 2 per operator, and trees with
min_length < tokens < max_length are kept. All draws are raw PCG64 words and integer arithmetic, whose values
NumPy promises to keep, so a seed gives the same bytes on any machine.

Source: Tay et al., Long Range Arena, `lra_benchmarks/data/listops.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOKENS = ("<pad>", *"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]")
"""Token of each id."""
FIRST_DIGIT = TOKENS.index("0")
FIRST_OPERATOR = TOKENS.index("[MIN")
CLOSE = TOKENS.index("]")

TREES_PER_CHUNK = 4096

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Rules:
    """What a tree may be; both length bounds are strict."""

    max_depth: int
    max_args: int
    min_length: int
    max_length: int


@dataclass(frozen=True)
class Trees:
    """Trees one after another: token ids uint8 (sum of lengths,), lengths int64 (n,), values uint8 (n,)."""

    tokens: NDArray[np.uint8]
    lengths: Integers
    values: NDArray[np.uint8]

    def part(self, start: int, stop: int) -> Trees:
        """Trees start..stop-1."""
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        return Trees(self.tokens[ends[start] : ends[stop]], self.lengths[start:stop], self.values[start:stop])


@dataclass(frozen=True)
class Level:
    """The nodes of one depth (n,): tree, operator or digit, number of arguments (0 for a digit)."""

    tree: Integers
    symbol: Integers
    arguments: Integers

    def of(self, kept: NDArray[np.bool_]) -> Level:
        here = kept[self.tree]
        return Level(self.tree[here], self.symbol[here], self.arguments[here])


def chunk(rules: Rules, seed: int, number: int) -> Trees:
    """The trees that pass among TREES_PER_CHUNK; a chunk depends on no other, so chunks can be drawn in parallel."""
    levels, size = grow(rules, np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))
    kept = (size > rules.min_length) & (size < rules.max_length)
    levels = [level.of(kept) for level in levels]
    if not kept.any():
        return Trees(np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.uint8))
    values, lengths = _fold(levels)
    return Trees(_write(levels, lengths), lengths[0], values.astype(np.uint8))


def grow(rules: Rules, draws: np.random.PCG64) -> tuple[list[Level], Integers]:
    """Levels from the root down, and the number of tokens of each tree (a lower bound where it is already too many)."""
    tree = np.arange(TREES_PER_CHUNK)
    size = np.ones(TREES_PER_CHUNK, dtype=np.int64)
    levels = []
    for depth in range(1, rules.max_depth + 1):
        word = draws.random_raw(len(tree))
        operator = (word < np.uint64(1 << 62)) & (depth < rules.max_depth)
        rest = (word & np.uint64((1 << 62) - 1)).astype(np.int64)
        arguments = np.where(operator, 2 + (rest >> 2) % (rules.max_args - 1), 0)
        symbol = np.where(operator, rest % 4, rest % 10)
        levels.append(Level(tree, symbol, arguments))
        size += np.bincount(tree, weights=operator + arguments, minlength=TREES_PER_CHUNK).astype(np.int64)
        grows = operator & (size[tree] < rules.max_length)
        tree = np.repeat(tree[grows], arguments[grows])
        if not len(tree):
            break
    return levels, size


def _fold(levels: list[Level]) -> tuple[Integers, list[Integers]]:
    """Values of the trees (n,), and the number of tokens under every node of every level, from the leaves up."""
    values = np.zeros(0, dtype=np.int64)
    lengths: list[Integers] = []
    for level in reversed(levels):
        here = level.symbol.copy()
        length = np.ones(len(here), dtype=np.int64)
        operators = np.flatnonzero(level.arguments)
        if len(operators):
            counts = level.arguments[operators]
            here[operators] = _apply(level.symbol[operators], counts, values)
            length[operators] = 2 + np.add.reduceat(lengths[0], _starts(counts))
        values = here
        lengths.insert(0, length)
    return values, lengths


def _apply(symbol: Integers, counts: Integers, arguments: Integers) -> Integers:
    """Each operator on its run of arguments: minimum, maximum, truncated median, sum modulo 10."""
    starts = _starts(counts)
    row = np.repeat(np.arange(len(counts)), counts)
    table = np.full((len(counts), counts.max()), 10)
    table[row, np.arange(len(arguments)) - starts[row]] = arguments
    table.sort(axis=1)
    every = np.arange(len(counts))
    median = (table[every, (counts - 1) // 2] + table[every, counts // 2]) // 2
    total = np.add.reduceat(arguments, starts) % 10
    return np.choose(symbol, [table[:, 0], table[every, counts - 1], median, total])


def _write(levels: list[Level], lengths: list[Integers]) -> NDArray[np.uint8]:
    """The prefix form of every tree, one after another: each node is put where its elder siblings end."""
    tokens = np.zeros(int(lengths[0].sum()), dtype=np.uint8)
    position = _starts(lengths[0])
    for depth, level in enumerate(levels):
        operators = level.arguments > 0
        tokens[position] = level.symbol + np.where(operators, FIRST_OPERATOR, FIRST_DIGIT)
        first = position[operators]
        tokens[first + lengths[depth][operators] - 1] = CLOSE
        if not operators.any():
            break
        counts = level.arguments[operators]
        before = _starts(lengths[depth + 1])
        position = before + np.repeat(first + 1 - before[_starts(counts)], counts)
    return tokens


def _starts(counts: Integers) -> Integers:
    """Where each run begins: the sums of the counts before it."""
    return np.cumsum(counts) - counts
