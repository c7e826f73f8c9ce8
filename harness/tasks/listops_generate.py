"""The first distinct trees of a seed; every core draws chunks: `python -m harness.tasks.listops_generate`.

A chunk depends on the seed and its number alone and chunks are taken in their order, so the trees are the same bytes
whoever draws them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import sys
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.platforms import cpus
from harness.tasks.drawers import drawn, serve
from harness.tasks.listops_trees import Rules, Trees, chunk
from harness.tasks.progress import told

PARALLEL_FROM = 16
"""Chunks that one process draws by itself; a set that needs more is worth the start of others."""
FRUITLESS_CHUNKS = 64


def generate(rules: Rules, count: int, seed: int) -> Trees:
    """The first `count` distinct trees of a seed. Raises UsageError when the rules allow fewer."""
    seen: set[bytes] = set()
    tokens: list[NDArray[np.uint8]] = []
    values: list[int] = []
    fruitless = 0
    with contextlib.closing(_chunks(rules, seed)) as chunks:
        for found in chunks:
            before = len(tokens)
            told("generating trees", before, count)
            ends = np.cumsum(found.lengths)
            for start, end, value in zip(ends - found.lengths, ends, found.values, strict=True):
                tree = found.tokens[start:end]
                name = hashlib.blake2b(tree.tobytes(), digest_size=16).digest()
                if name not in seen:
                    seen.add(name)
                    tokens.append(tree)
                    values.append(int(value))
                if len(tokens) == count:
                    lengths = np.array([len(tree) for tree in tokens], dtype=np.int64)
                    return Trees(np.concatenate(tokens), lengths, np.array(values, dtype=np.uint8))
            fruitless = fruitless + 1 if len(tokens) == before else 0
            if fruitless == FRUITLESS_CHUNKS:
                raise UsageError(
                    f"ListOps found only {len(tokens)} distinct trees with {rules.min_length} < tokens < "
                    f"{rules.max_length}, but {count} are asked for; widen the lengths, or ask for fewer examples."
                )
    raise AssertionError("the chunks never end")


def _chunks(rules: Rules, seed: int) -> Generator[Trees, None, None]:
    """The chunks of a seed without end: the first ones from this process, the others from every core it may use."""
    alone = functools.partial(chunk, rules, seed)
    yield from map(alone, range(PARALLEL_FROM))
    numbers = itertools.count(PARALLEL_FROM)
    workers = cpus()
    if workers == 1:
        yield from map(alone, numbers)
    job = json.dumps({"rules": dataclasses.asdict(rules), "seed": seed})
    with contextlib.closing(
        drawn("harness.tasks.listops_generate", job, "ListOps trees", numbers, workers)
    ) as contents:
        yield from map(_unpacked, contents)


def _packed(trees: Trees) -> bytes:
    """The number of trees, their lengths, values and tokens."""
    count = np.array([len(trees.lengths)], dtype=np.int64)
    return b"".join(array.tobytes() for array in (count, trees.lengths, trees.values, trees.tokens))


def _unpacked(content: bytes) -> Trees:
    count = int(np.frombuffer(content, dtype=np.int64, count=1)[0])
    lengths = np.frombuffer(content, dtype=np.int64, count=count, offset=8)
    values, tokens = np.split(np.frombuffer(content, dtype=np.uint8, offset=8 + 8 * count), [count])
    return Trees(tokens, lengths, values)


def main(job: str) -> None:
    """Draw the chunks that standard input asks for."""
    given = json.loads(job)
    rules = Rules(**given["rules"])
    serve(lambda number: _packed(chunk(rules, given["seed"], number)))


if __name__ == "__main__":
    main(sys.argv[1])
