"""When the learning rate is what, and at which steps a trial is looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.training.config import AdamW

THRESHOLD = 1e-4


def multiplier(step: int, config: AdamW) -> float:
    """The factor m(s) on the learning rate of every group, for the update number s = 0, 1, ..., S - 1.

    m(s) = s / W for s < W, then (1 + cos(pi (s - W) / (S - W))) / 2 (cosine) or 1 (constant, plateau), with W warm-up
    and S schedule steps: the cosine schedule with warm-up of the official recipes (github.com/state-spaces/s4).
    """
    assert config.schedule_steps is not None
    s, W, S = step, config.warmup_steps, config.schedule_steps
    if s < W:
        return s / W
    if config.schedule != "cosine":
        return 1.0
    return (1 + math.cos(math.pi * (s - W) / (S - W))) / 2


@dataclass
class Plateau:
    """The plateau schedule: the rates fall by a factor once validation has stopped getting better.

    The rule of torch.optim.lr_scheduler.ReduceLROnPlateau with its defaults, which the first S4 recipes used.
    """

    best: float | None = None
    bad: int = 0
    """Evaluations in a row that were not better than `best` by one part in 10,000."""
    scale: float = 1.0
    """The factor that all rates have come to."""

    def see(self, score: float, higher_is_better: bool, config: AdamW) -> None:
        """Take the score of an evaluation into account."""
        if self.best is None or (
            score > self.best * (1 + THRESHOLD) if higher_is_better else score < self.best * (1 - THRESHOLD)
        ):
            self.best, self.bad = score, 0
        else:
            self.bad += 1
        if self.bad > config.plateau_patience:
            self.scale, self.bad = self.scale * config.plateau_factor, 0


def spaced(steps: int, count: int) -> tuple[int, ...]:
    """`count` numbers of steps taken, evenly spaced, the last one `steps`; fewer where `steps` is less."""
    return tuple(sorted({math.ceil(steps * k / count) for k in range(1, count + 1)}))
