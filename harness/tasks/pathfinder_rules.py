"""What a Pathfinder picture is made of, by size and difficulty. Torch-free.

A picture holds two long dashed paths that begin near each other, shorter dashed distractors, and two dots. Label 1:
the dots sit on the two ends of one path; label 0: on the beginning of one and the end of the other.

Legend: L length of a dash, w its width, m the margin kept around it, all in pixels.

Sources: Linsley et al. 2018; Kim, Linsley, Thakkar and Serre 2020; sizes 32, 64, 128 and 256 with the settings that
Tay et al. state in `lra_benchmarks/data/pathfinder.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Difficulty = Literal["easy", "intermediate", "hard"]
PATH_DASHES: dict[str, int] = {"easy": 6, "intermediate": 9, "hard": 14}
"""Dashes of each of the two paths; a distractor has a third of them."""


@dataclass(frozen=True)
class Rules:
    """The settings of a picture; lengths in pixels."""

    size: int
    padding: int
    """Width of the frame that is kept free."""
    seed_distance: int
    """Between the beginnings of the two paths."""
    dot_radius: float
    L: int
    w: float
    margins: tuple[int, ...]
    """m is drawn from these once per picture."""
    continuity: float
    """The larger, the straighter: a dash turns by less than 90 degrees / continuity."""
    dash_budget: int
    """Dashes of all distractors together."""
    path_contrast: float
    """What the brightness of a dash of a path, at most about 0.6 at 32 pixels and 1 from 64 on, is multiplied by."""
    distractor_contrast: float
    path_dashes: int

    @property
    def distractor_dashes(self) -> int:
        return self.path_dashes // 3

    @property
    def distractors(self) -> int:
        return self.dash_budget // self.distractor_dashes


#       padding, seed distance, dot radius, L, w, margins, continuity, dash budget, path contrast, distractor contrast
_BY_SIZE = {
    32: (1, 7, 1.5, 2, 0.5, (1,), 1.0, 20, 1.5, 2.0),
    64: (1, 12, 2.5, 5, 1.0, (1,), 1.8, 22, 0.8, 0.8),
    128: (1, 20, 3.0, 5, 1.5, (2, 3), 1.8, 35, 0.9, 0.9),
    256: (22, 27, 5.0, 5, 2.0, (3,), 1.8, 30, 1.0, 1.0),
}


def rules(size: int, difficulty: Difficulty) -> Rules:
    """The settings for pictures of `size` x `size` pixels."""
    return Rules(size, *_BY_SIZE[size], path_dashes=PATH_DASHES[difficulty])
