"""Early stopping: which demands finished trials make, and what they do to the rows of a new one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.launch.stopping import Watch, demands


def flat(value: float, steps: int = 9) -> list[tuple[int, float]]:
    return [(10 * number, value) for number in range(1, steps + 1)]


def test_asha_asks_at_the_powers_of_three_for_the_best_third() -> None:
    peers = [flat(value) for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert [(step, score) for step, score, _ in demands("asha", peers, True, 90)] == [(10, 0.4), (30, 0.4)]
    assert [(step, score) for step, score, _ in demands("asha", peers, False, 90)] == [(10, 0.2), (30, 0.2)]


def test_asha_lets_the_first_two_of_a_rung_pass() -> None:
    assert demands("asha", [flat(0.1)], True, 90) == []
    stopped = [flat(0.1, 1), flat(0.2, 1), flat(0.3)]
    assert [step for step, _, _ in demands("asha", stopped, True, 90)] == [10]


def test_the_median_rule_takes_the_median_of_the_running_means() -> None:
    peers = [[(10, 0.0), (20, 0.4)], [(10, 0.2), (20, 0.4)], [(10, 0.4), (20, 0.8)]]
    assert [(step, round(score, 12)) for step, score, _ in demands("median", peers, True, 30)] == [(10, 0.2), (20, 0.3)]
    assert demands("median", peers[:2], True, 30) == []


def test_nothing_is_asked_at_the_last_step() -> None:
    peers = [flat(value, 3) for value in (0.1, 0.2, 0.3)]
    assert [step for step, _, _ in demands("asha", peers, True, 30)] == [10]


def row(value: float, step: int) -> dict[str, Any]:
    return {"row": "metric", "split": "val", "name": "accuracy", "value": value, "step": step}


def watch(higher: bool = True, demand: float = 0.5) -> Watch:
    given = {"metric": "accuracy", "higher_is_better": higher, "pruner": "asha", "demands": [[20, demand, "the best"]]}
    return Watch(given)


@pytest.mark.parametrize(
    ("higher", "values", "status"),
    [
        (True, (0.1, 0.2), "stopped"),
        (True, (0.1, 0.5), None),
        (True, (0.6, 0.1), None),
        (False, (0.6, 0.7), "stopped"),
        (False, (0.6, 0.4), None),
        (True, (math.nan, 0.9), "diverged"),
        (False, (0.1, math.nan), "diverged"),
    ],
)
def test_a_trial_ends_where_its_best_misses_a_demand_or_is_nan(
    higher: bool, values: tuple[float, float], status: str | None
) -> None:
    one = watch(higher)
    for step, value in zip((10, 20), values, strict=True):
        one.see(row(value, step))
    assert (one.verdict and one.verdict[0]) == status


def test_a_resumed_trial_is_judged_by_all_its_rows() -> None:
    one = watch()
    one.see(row(0.9, 10))
    one.restart([{"row": "header"}, row(0.1, 10)])
    one.see(row(0.2, 20))
    assert one.verdict is not None and one.step == 20


def test_a_trial_without_demands_is_left_alone() -> None:
    one = Watch(None)
    one.see(row(math.nan, 10))
    assert one.verdict is None
