"""How torch is set up for a trial: threads, denormals, determinism."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from typing import Any

import torch

# An optimiser's first step imports this, for seconds; here a warm process has it before it forks its trials.
import torch._dynamo


@contextlib.contextmanager
def prepared(threads: int, *, training: bool) -> Iterator[dict[str, Any]]:
    """Set torch up for a trial and say how; put it back afterwards, for a caller that lives on."""
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    # On a CPU a trial and its resumed self agree to the bit, at no cost; on a GPU, and in a timing, it would have one.
    deterministic = training and kind == "cpu"
    before, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    # A decaying kernel ends in denormals, on which processors are many times slower.
    flushed = torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    try:
        yield {"kind": kind, "threads": threads, "flush_denormal": flushed, "deterministic": deterministic}
    finally:
        torch.use_deterministic_algorithms(was_deterministic)
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def peak_memory_bytes() -> int:
    """The most main memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
