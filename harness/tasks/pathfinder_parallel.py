"""Every core draws chunks of Pathfinder: `python -m harness.tasks.pathfinder_parallel`, a number in, pictures out.

Legend: n pictures of a chunk, P pixels of a picture.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import sys
from collections.abc import Iterator

import numpy as np

from harness.platforms import cpus
from harness.tasks.drawers import drawn, serve
from harness.tasks.pathfinder_draw import CHUNK, Pictures, chunk
from harness.tasks.pathfinder_rules import Rules

PARALLEL_FROM = 8
"""Chunks from which on processes that share the work pay for their start."""


def pictures(rules: Rules, seed: int, count: int) -> Iterator[Pictures]:
    """The first `count` pictures of a seed, in parts; every core that the process may use draws chunks."""
    numbers = range(math.ceil(count / CHUNK[rules.size]))
    workers = min(cpus(), len(numbers) // PARALLEL_FROM)
    left = count
    with contextlib.ExitStack() as stack:
        parts = map(functools.partial(chunk, rules, seed), numbers)
        if workers > 1:
            job = json.dumps({"rules": dataclasses.asdict(rules), "seed": seed})
            contents = drawn("harness.tasks.pathfinder_parallel", job, "Pathfinder pictures", numbers, workers)
            parts = map(functools.partial(_unpacked, rules), stack.enter_context(contextlib.closing(contents)))
        for part in parts:
            yield part.first(left)
            left -= len(part.y)


def _packed(part: Pictures) -> bytes:
    return b"".join(array.tobytes() for array in (part.apart, part.y, part.x))


def _unpacked(rules: Rules, content: bytes) -> Pictures:
    n, P = CHUNK[rules.size], rules.size**2
    apart, y, x = np.split(np.frombuffer(content, dtype=np.uint8), [4 * n, 5 * n])
    return Pictures(x.reshape(n, P), y, apart.view(np.int32))


def main(job: str) -> None:
    """Draw the chunks that standard input asks for."""
    given = json.loads(job)
    rules = Rules(**{**given["rules"], "margins": tuple(given["rules"]["margins"])})
    serve(lambda number: _packed(chunk(rules, given["seed"], number)))


if __name__ == "__main__":
    main(sys.argv[1])
