"""What a call at full size would take, from the same call with few heads: what would not fit never runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

CLIMB = 4
"""Heads are multiplied by this where the first prediction is over the budget: with few heads fixed costs dominate."""


def predicted_s(seconds: Callable[[int], float], heads: int, full: int, budget_s: float) -> float:
    """Seconds at `full` heads, linear in the heads: an upper bound, since what every call costs does not grow.

    `seconds` runs a call with so many heads. While the bound is over the budget, more heads tell more, as long as they
    themselves are within it.
    """
    taken = seconds(heads)
    if taken * full / heads > budget_s:
        taken = min(taken, seconds(heads))  # The first of a direction may have compiled.
    while taken * full / heads > budget_s and heads * CLIMB < full and taken * CLIMB <= budget_s:
        heads *= CLIMB
        taken = min(seconds(heads), seconds(heads))
    return taken * full / heads


def available_bytes(device: str) -> float:
    """Memory that this machine, or this process's share of it, has left; all that it has where it does not say."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    left = [float("inf")]
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        left.append(float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE"))
    else:
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        left.append(1024.0 * int(fields["MemAvailable"].split()[0]))
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and (most := limit.read_text().strip()) != "max":
        left.append(float(most) - float(used.read_text()))
    return min(left)


def too_slow(seconds: float, budget_s: float, heads: int, full: int) -> str:
    """The sentence for a call that takes too long, empty for one that does not."""
    if seconds <= budget_s:
        return ""
    return (
        f"A call at {full} heads is predicted to take {seconds:.3g} s, scaled from {heads} heads and more; "
        f"timer.budget_s allows {budget_s:.3g} s."
    )


def too_large(size: float, allowed: float, stated: bool, heads: int, full: int) -> str:
    """The sentence for a call that needs too much memory, empty for one that does not."""
    if size <= allowed:
        return ""
    who = "timer.budget_gib allows" if stated else "the machine has"
    return (
        f"A call at {full} heads is predicted to need {size / 2**30:.3g} GiB, scaled from {heads} heads; "
        f"{who} {allowed / 2**30:.3g} GiB."
    )
