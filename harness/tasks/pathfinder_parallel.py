"""Every core draws chunks of Pathfinder: `python -m harness.tasks.pathfinder_parallel`, a number in, pictures out.

The processes are plain interpreters. Those of `multiprocessing` would run the caller's script once more, and a script
without `if __name__ == "__main__"` would begin its trial anew in each, which waits for the trial that waits for it.

Legend: n pictures of a chunk, P pixels of a picture.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from harness.errors import EnvironmentProblem
from harness.tasks.pathfinder_draw import CHUNK, Pictures, chunk
from harness.tasks.pathfinder_rules import Rules

PARALLEL_FROM = 8
"""Chunks from which on processes that share the work pay for their start."""
Worker = subprocess.Popen[bytes]


def pictures(rules: Rules, seed: int, count: int) -> Iterator[Pictures]:
    """The first `count` pictures of a seed, in parts; every core that the process may use draws chunks."""
    numbers = range(math.ceil(count / CHUNK[rules.size]))
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(allowed, len(numbers) // PARALLEL_FROM)
    left = count
    with contextlib.ExitStack() as stack:
        parts: Iterable[Pictures] = map(functools.partial(chunk, rules, seed), numbers)
        if workers > 1:
            idle: SimpleQueue[Worker] = SimpleQueue()
            for _ in range(workers):
                idle.put(stack.enter_context(_started(rules, seed)))
            pool = ThreadPoolExecutor(workers)
            stack.callback(pool.shutdown, cancel_futures=True)
            parts = pool.map(functools.partial(_asked, idle, rules), numbers)
        for part in parts:
            yield part.first(left)
            left -= len(part.y)


def _started(rules: Rules, seed: int) -> Worker:
    command = [sys.executable, "-P", "-m", "harness.tasks.pathfinder_parallel"]
    command.append(json.dumps({"rules": dataclasses.asdict(rules), "seed": seed}))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _asked(idle: SimpleQueue[Worker], rules: Rules, number: int) -> Pictures:
    """Chunk `number`, from the next worker that has nothing to do."""
    n, P = CHUNK[rules.size], rules.size**2
    worker = idle.get()
    try:
        assert worker.stdin is not None and worker.stdout is not None
        os.write(worker.stdin.fileno(), f"{number}\n".encode())
        content = worker.stdout.read(n * (P + 5))
    except BrokenPipeError:
        content = b""
    finally:
        idle.put(worker)
    if len(content) < n * (P + 5):
        raise EnvironmentProblem(
            "A process that draws Pathfinder pictures has ended before it was done, as happens where memory runs out; "
            "make room, and run the same command again."
        )
    apart, y, x = np.split(np.frombuffer(content, dtype=np.uint8), [4 * n, 5 * n])
    return Pictures(x.reshape(n, P), y, apart.view(np.int32))


def main(job: str) -> None:
    """Draw the chunks that standard input asks for until it ends, which it does with whoever asks."""
    # Ctrl-C reaches every process of a terminal; whoever asks decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = json.loads(job)
    rules = Rules(**{**given["rules"], "margins": tuple(given["rules"]["margins"])})
    with contextlib.suppress(BrokenPipeError):
        for line in sys.stdin:
            part = chunk(rules, given["seed"], int(line))
            for array in (part.apart, part.y, part.x):
                sys.stdout.buffer.write(array.tobytes())
            sys.stdout.buffer.flush()
    # What is left in the buffer of a pipe that nobody reads would be tried again, and told of.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
