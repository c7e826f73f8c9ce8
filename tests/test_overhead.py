"""The harness costs little: the committed figures are within their limits, and processor time is measured anew."""

from __future__ import annotations

import json

import overhead
import pytest

KEPT = json.loads(overhead.OUT.read_text())


@pytest.mark.parametrize("name", KEPT["limits"])
def test_the_committed_figure_is_within_its_limit(name: str) -> None:
    assert KEPT["limits"][name]["value"] < KEPT["limits"][name]["limit"] == overhead.LIMITS[name]


def test_the_committed_verdicts_follow_from_the_committed_figures() -> None:
    assert overhead.verdicts(KEPT["parts"]).keys() == KEPT["limits"].keys()
    for name, verdict in overhead.verdicts(KEPT["parts"]).items():
        # Every figure is kept to four digits, and at most three of them make a verdict.
        assert verdict["value"] == pytest.approx(KEPT["limits"][name]["value"], rel=2e-3, abs=5e-4), name


@pytest.mark.long
def test_planning_100_000_trials_takes_under_5_seconds() -> None:
    assert {name: took["cpu_s"] for name, took in overhead.planned().items() if took["cpu_s"] >= 5} == {}


@pytest.mark.long
def test_a_finished_sweep_of_5_000_trials_is_passed_over_in_under_5_seconds() -> None:
    assert {name: took["cpu_s"] for name, took in overhead.rerun().items() if took["cpu_s"] >= 5} == {}
