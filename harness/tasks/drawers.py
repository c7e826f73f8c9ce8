"""Processes that share the drawing of chunks: each is `python -m MODULE JOB`, numbers of chunks in, chunks out.

They are plain interpreters. Those of `multiprocessing` would run the caller's script once more, and a script without
`if __name__ == "__main__"` would begin its trial anew in each, which waits for the trial that waits for it.

A chunk is written as the number of its bytes, 8 bytes little-endian, and its bytes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from harness.errors import EnvironmentProblem

AHEAD = 4
"""Chunks for each process that are drawn before somebody takes them."""
HEAD = 8
Worker = subprocess.Popen[bytes]


def drawn(module: str, job: str, what: str, numbers: Iterable[int], workers: int) -> Generator[bytes, None, None]:
    """The chunks with these numbers, in their order, however many processes draw them.

    Raises EnvironmentProblem, saying that it drew `what`, for a process that ends too early.
    """
    with contextlib.ExitStack() as stack:
        idle: SimpleQueue[Worker] = SimpleQueue()
        for _ in range(workers):
            idle.put(stack.enter_context(_started(module, job)))
        pool = ThreadPoolExecutor(workers)
        stack.callback(pool.shutdown, cancel_futures=True)
        left = iter(numbers)

        def ask(number: int) -> Future[bytes]:
            return pool.submit(_asked, idle, what, number)

        waiting: deque[Future[bytes]] = deque(map(ask, itertools.islice(left, AHEAD * workers)))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(map(ask, itertools.islice(left, 1)))


def serve(draw: Callable[[int], bytes]) -> None:
    """Draw the chunks that standard input asks for until it ends, which it does with whoever asks."""
    # Ctrl-C reaches every process of a terminal; whoever asks decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        for line in sys.stdin:
            content = draw(int(line))
            sys.stdout.buffer.write(len(content).to_bytes(HEAD, "little") + content)
            sys.stdout.buffer.flush()
    # What is left in the buffer of a pipe that nobody reads would be tried again, and told of.
    os._exit(0)


def _started(module: str, job: str) -> Worker:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", module, job]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _asked(idle: SimpleQueue[Worker], what: str, number: int) -> bytes:
    """Chunk `number`, from the next worker that has nothing to do."""
    worker = idle.get()
    try:
        assert worker.stdin is not None and worker.stdout is not None
        os.write(worker.stdin.fileno(), f"{number}\n".encode())
        head = worker.stdout.read(HEAD)
        size = int.from_bytes(head, "little")
        content = worker.stdout.read(size)
    except BrokenPipeError:
        head = b""
    finally:
        idle.put(worker)
    if len(head) < HEAD or len(content) < size:
        raise EnvironmentProblem(
            f"A process that draws {what} has ended before it was done, as happens where memory runs out; "
            "make room, and run the same command again."
        )
    return content
