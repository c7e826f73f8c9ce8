"""Escaping chance: by three standard errors, and for good."""

from __future__ import annotations

import math

import pytest

from harness.training.escape import LEVELS, Escape

ERROR = math.sqrt(0.5 * 0.5 / 100)
"""Of a guess on 100 examples: .05, so that the threshold is .65."""


def seen(scores: list[float]) -> Escape:
    escape = Escape()
    for index, score in enumerate(scores, 1):
        escape.see(score, 0.5, ERROR, 10 * index, 1.5 * index)
    return escape


@pytest.mark.parametrize(
    ("scores", "step"),
    [
        ([0.5, 0.64, 0.65], 0),
        ([0.5, 0.66, 0.9], 20),
        ([0.7, 0.6, 0.7, 0.8], 30),
        ([0.7, 0.8, 0.5], 0),
        ([0.9], 10),
    ],
)
def test_the_step_is_the_first_from_which_on_every_score_is_above(scores: list[float], step: int) -> None:
    found = {name: value for name, value, _ in seen(scores).metrics(steps_per_epoch=4)}
    assert found["escaped_chance"] == float(step > 0)
    assert found.get("escape_step", 0) == step and found.get("escape_epoch", 0) == step / 4
    assert found.get("escape_s", 0) == 1.5 * step / 10


def test_the_seconds_to_a_level_are_those_of_its_first_crossing_above_chance() -> None:
    found = {name: value for name, value, _ in seen([0.5, 0.72, 0.6, 0.91]).metrics(1) if "/" in name}
    assert found == {"seconds_to/0.7": 3.0, "seconds_to/0.8": 6.0, "seconds_to/0.9": 6.0}
    assert 0.5 in LEVELS and 0.6 in LEVELS
