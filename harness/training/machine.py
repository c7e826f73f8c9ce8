"""How the process is set up for a trial: threads, denormals, determinism; for a timing also processors and memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

import torch

# An optimiser's first step imports this, for seconds; here a warm process has it before it forks its trials.
import torch._dynamo

from harness import platforms


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
    about = {"kind": kind, "threads": threads, "flush_denormal": flushed, "deterministic": deterministic}
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") and not training else set()
    if not training:
        about |= {"pinned_to": _pinned(allowed, threads), "keeps_freed_memory": _keeps_freed_memory()}
    try:
        yield about
    finally:
        if allowed:
            os.sched_setaffinity(0, allowed)
        torch.use_deterministic_algorithms(was_deterministic)
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def _pinned(allowed: set[int], threads: int) -> list[int]:
    """Keep this process on as many processors as it has threads, the last ones: a library that counts them starts no
    more, and what else runs prefers the first. Returns them; empty where the system cannot.
    """
    chosen = sorted(allowed)[-threads:]
    if chosen:
        os.sched_setaffinity(0, chosen)
    return chosen


def _keeps_freed_memory() -> bool:
    """Have glibc keep what is freed instead of giving it back, for the rest of the process; whether it does.

    A timing would otherwise be one of page faults wherever a call frees more than 32 MiB.
    """
    if not platforms.linux():
        return False
    trim_threshold, mmap_max = -1, -4
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(set_option and set_option(mmap_max, 0) and set_option(trim_threshold, 2**31 - 1))


def peak_memory_bytes() -> int:
    """The most main memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
