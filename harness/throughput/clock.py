"""How one call is timed: wall clock on a processor; events, a flushed cache and perhaps a captured graph on a GPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

Timed = Callable[[], object]

SHORT_S = 0.1
"""A shorter call on a processor finds in the caches what it left there itself, by a call before that is not timed:
after another contestant's, calls of a millisecond took up to 1.5 times as long (kernels-growth, November 2026)."""
SPAN_S = 0.02
"""A shorter one is made as often as fills this, and its mean is the timing."""


class Clock:
    """Seconds of one call on `device`, its queue empty before and after."""

    def __init__(self, device: str) -> None:
        self.cuda = device == "cuda"
        self.flushed = None
        if self.cuda:
            # A call must not find in the cache what the call before it left there; twice the cache's size evicts all.
            size = 2 * torch.cuda.get_device_properties(0).L2_cache_size
            self.flushed = torch.empty(size, dtype=torch.uint8, device=device)

    def __call__(self, call: Timed) -> float:
        if self.flushed is None:
            started = time.perf_counter()
            call()
            return time.perf_counter() - started
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        self.flushed.zero_()
        torch.cuda.synchronize()
        begin.record()
        call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    def steady(self, call: Timed, about_s: float) -> float:
        """Seconds of one call as it repeats, where it takes `about_s`."""
        if self.cuda or about_s >= SHORT_S:
            return self(call)
        call()
        times = math.ceil(SPAN_S / max(about_s, 1e-6))

        def repeated() -> None:
            for _ in range(times):
                call()

        return self(repeated) / times


def captured(call: Timed) -> Timed:
    """`call` as a CUDA graph, which launches nothing from Python. Raises RuntimeError where it cannot be captured.

    It is called three times on a stream of its own before, as capturing requires of whatever allocates on first use.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
