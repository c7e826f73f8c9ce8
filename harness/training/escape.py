"""When a trial left chance behind for good, and how many seconds of training an accuracy took.

    above   score > chance + 3 s,   s the standard error that a guess has on the validation examples

A trial has escaped chance at the first evaluation from which on every evaluation is above. Guesses pass 3 s once in 740
evaluations. Path-X and Pathfinder are learnt or not learnt at all, so that this says more than a mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

ERRORS = 3.0
LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Scores whose time is noted, where they are above chance by as much."""


@dataclass
class Escape:
    """What the evaluations so far came to."""

    step: int = 0
    """Of the first of the evaluations above chance since the last that was not; 0 where the last was not."""
    train_s: float = 0.0
    reached: dict[str, list[float]] = field(default_factory=dict)
    """Level to the step and the seconds of training at which it was first reached."""

    def see(self, score: float, chance: float, error: float, step: int, train_s: float) -> None:
        """Take an evaluation into account; `error` is the standard error of a guess."""
        threshold = chance + ERRORS * error
        if score <= threshold:
            self.step, self.train_s = 0, 0.0
        elif not self.step:
            self.step, self.train_s = step, train_s
        for level in LEVELS:
            if threshold < level <= score:
                self.reached.setdefault(f"{level:g}", [step, train_s])

    def metrics(self, steps_per_epoch: int) -> Iterator[tuple[str, float, str]]:
        """Name, value and unit of what is to be said at the end."""
        yield "escaped_chance", float(self.step > 0), ""
        if self.step:
            yield "escape_step", float(self.step), "steps"
            yield "escape_epoch", self.step / steps_per_epoch, "epochs"
            yield "escape_s", self.train_s, "s"
        for level, (_, seconds) in self.reached.items():
            yield f"seconds_to/{level}", seconds, "s"
