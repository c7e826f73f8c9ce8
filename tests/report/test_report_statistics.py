"""Intervals and tests against hand-computed answers and simulated coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.report.statistics import (
    LEAST_PAIRS_FOR_P,
    binomial_standard_error,
    mean_interval,
    paired_difference,
    quartiles,
    ratio_interval,
    sign_flip_p,
)


def test_t_interval_is_the_hand_computed_one() -> None:
    # Values 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.302652730; half-width 4.302652730 / sqrt(3).
    found = mean_interval([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert found.half_width == pytest.approx(4.302652729749464 / math.sqrt(3), rel=1e-12)


@pytest.mark.parametrize("values", [[], [0.7]])
def test_fewer_than_two_values_give_no_interval(values: list[float]) -> None:
    found = mean_interval(values)
    assert not found.has_interval
    assert found.n == len(values)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_t_interval_covers_the_mean_in_95_percent_of_sweeps(n: int) -> None:
    # 2000 sweeps: the count that cover is binomial(2000, 0.95); 4 standard errors are 4 sqrt(.95 .05 / 2000) = 0.0195.
    draws = np.random.default_rng(7).normal(1.5, 2.0, size=(2000, n))
    share = np.mean([mean_interval(list(row)).covers(1.5) for row in draws])
    assert abs(share - 0.95) < 0.0195


def test_pairing_removes_what_the_seeds_share() -> None:
    # The seeds differ by tens, the arms by exactly 1: the paired interval has width 0.
    found = paired_difference({0: 11.0, 1: 21.0, 2: 31.0}, {0: 10.0, 1: 20.0, 2: 30.0}).estimate
    assert (found.value, found.low, found.high, found.n) == (1.0, 1.0, 1.0, 3)


def test_only_seeds_that_both_arms_have_are_paired() -> None:
    assert paired_difference({0: 1.0, 1: 2.0}, {1: 5.0, 2: 9.0}).estimate.n == 1


def test_sign_flip_p_of_six_equal_signs_is_two_in_64() -> None:
    assert sign_flip_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == 2 / 64


def test_sign_flip_p_counts_by_hand() -> None:
    # |sum| of the four patterns of (3, 1) is 4, 2, 2, 4, so for d = (3, -1) all four reach 2.
    assert sign_flip_p([3.0, -1.0]) == 1.0


def test_sign_flip_p_does_not_depend_on_rounding() -> None:
    assert sign_flip_p([0.1, 0.2, 0.3]) == 2 / 8


@pytest.mark.parametrize("n", range(2, 9))
def test_a_p_is_given_from_six_pairs_on(n: int) -> None:
    first = {seed: 1.0 + 0.1 * seed for seed in range(n)}
    found = paired_difference(first, dict.fromkeys(range(n), 0.0))
    assert (found.p is not None) == (n >= LEAST_PAIRS_FOR_P)


def test_binomial_standard_error_by_hand() -> None:
    assert binomial_standard_error(0.5, 100) == 0.05


def test_quartiles_by_hand() -> None:
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0)


def test_ratio_of_exactly_proportional_timings_has_no_width() -> None:
    baseline = [1.0, 1.5, 0.7, 2.0]
    found = ratio_interval(baseline, [one / 4 for one in baseline])
    assert (found.value, found.low, found.high) == pytest.approx((4.0, 4.0, 4.0), rel=1e-12)


def test_ratio_interval_is_the_same_every_time() -> None:
    draws = np.random.default_rng(1).lognormal(0, 0.2, size=(2, 15)).tolist()
    assert ratio_interval(*draws) == ratio_interval(*draws)


def test_ratio_interval_covers_the_true_ratio() -> None:
    # A percentile bootstrap of a median of 20 covers a little less than 95 %; 4 standard errors of 300 sweeps are 5 %.
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        baseline, other = generator.lognormal([[0.7], [0.0]], 0.1, size=(2, 20)).tolist()
        covered += ratio_interval(baseline, other, resamples=400).covers(math.exp(0.7))
    assert 0.86 <= covered / 300 <= 0.995


def test_an_estimate_without_interval_covers_everything() -> None:
    assert mean_interval([3.0]).covers(-100.0)
