"""When the learning rate is what, and at which steps a trial is looked at."""

from __future__ import annotations

import math

from harness.training.config import AdamW


def multiplier(step: int, config: AdamW) -> float:
    """The factor m(s) on the learning rate of every group, for the update number s = 0, 1, ..., S - 1.

    m(s) = s / W for s < W, then (1 + cos(pi (s - W) / (S - W))) / 2 (cosine) or 1 (constant), with W warm-up
    steps: the cosine schedule with warm-up of the official recipes (github.com/state-spaces/s4).
    """
    s, W, S = step, config.warmup_steps, config.steps
    if s < W:
        return s / W
    if config.schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (s - W) / (S - W))) / 2


def spaced(steps: int, count: int) -> tuple[int, ...]:
    """`count` numbers of steps taken, evenly spaced, the last one `steps`; fewer where `steps` is less."""
    return tuple(sorted({math.ceil(steps * k / count) for k in range(1, count + 1)}))
