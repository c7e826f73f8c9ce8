"""Intervals and tests for few seeds and for interleaved timings.

Legend: n values, x their mean, s their standard deviation (n - 1), d paired differences.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
LEAST_PAIRS_FOR_P = 6
"""With five pairs the least two-sided sign-flip p is 2/2^5 = 0.0625, so a p below .05 cannot occur."""
MOST_PAIRS_FOR_P = 20
"""2^20 sign patterns is the most that are listed; beyond it the interval speaks alone."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; low and high are nan where n gives none."""

    value: float
    low: float
    high: float
    n: int

    @property
    def has_interval(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def covers(self, value: float) -> bool:
        """Whether the interval holds `value`; an estimate without interval covers everything."""
        return not self.has_interval or self.low <= value <= self.high

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in other units; `factor` is positive."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.n)


@dataclass(frozen=True)
class Difference:
    """A paired difference; `p` is the exact two-sided sign-flip p, None where n is too small (or too large) for one."""

    estimate: Estimate
    p: float | None


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """x +- t_{n-1} s / sqrt(n), Student's interval; no interval for n < 2, nan for no values.

    Kept for few seeds: the percentile and BCa bootstraps cover far less than their level at n = 5.
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = float(x.mean())
    if n == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * float(x.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Share of the 2^n sign patterns whose |sum| is at least the observed |sum of d|: the exact two-sided p."""
    d = np.asarray(differences, dtype=np.float64)
    sums = np.zeros(1)
    for one in d:
        sums = np.concatenate([sums + one, sums - one])
    observed = abs(float(d.sum()))
    # Sums that are equal on paper differ in their last bits, according to the order of addition.
    rounding = 1e-12 * float(np.abs(d).sum())
    return float(np.mean(np.abs(sums) >= observed - rounding))


def paired_difference(first: Mapping[Hashable, float], second: Mapping[Hashable, float]) -> Difference:
    """Mean of first - second over the keys (seeds) that both have, with its t interval."""
    shared = [key for key in first if key in second]
    d = [first[key] - second[key] for key in shared]
    p = sign_flip_p(d) if LEAST_PAIRS_FOR_P <= len(d) <= MOST_PAIRS_FOR_P else None
    return Difference(mean_interval(d), p)


def expected_best(scores: Sequence[float], n: int, higher_is_better: bool = True) -> float:
    """E[max of n draws] from the N scores: sum_i v_(i) ((i/N)^n - ((i-1)/N)^n), v_(1) <= ... <= v_(N).

    Dodge et al. 2019, Show Your Work: Improved Reporting of Experimental Results, section 3. The draws are independent
    there, as those of a random search are. nan for no scores.
    """
    sign = 1.0 if higher_is_better else -1.0
    v = np.sort(sign * np.asarray(scores, dtype=np.float64))
    if len(v) == 0:
        return math.nan
    share = np.arange(len(v) + 1) / len(v)
    return sign * float(np.dot(v, share[1:] ** n - share[:-1] ** n))


def binomial_standard_error(share: float, examples: int) -> float:
    """sqrt(p (1 - p) / M): how far an accuracy on M test examples is from the model's own."""
    return math.sqrt(share * (1 - share) / examples)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The 25th, 50th and 75th percentile, linearly interpolated."""
    q25, q50, q75 = np.quantile(np.asarray(values, dtype=np.float64), [0.25, 0.5, 0.75])
    return float(q25), float(q50), float(q75)


def ratio_interval(
    baseline: Sequence[float], other: Sequence[float], level: float = LEVEL, resamples: int = RESAMPLES
) -> Estimate:
    """Median of baseline_i / other_i over interleaved repeats i: how many times as fast `other` is.

    Circular block bootstrap of the log-ratios with blocks of about n^(1/3), because neighbouring repeats share the
    machine's state; the generator is fixed, so that the same records give the same interval.
    """
    n = min(len(baseline), len(other))
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    log_ratio = np.log(np.asarray(baseline[:n], dtype=np.float64)) - np.log(np.asarray(other[:n], dtype=np.float64))
    centre = math.exp(float(np.median(log_ratio)))
    if n == 1:
        return Estimate(centre, math.nan, math.nan, 1)
    block = max(1, round(n ** (1 / 3)))
    starts = np.random.default_rng(0).integers(0, n, size=(resamples, math.ceil(n / block)))
    picked = ((starts[:, :, None] + np.arange(block)) % n).reshape(resamples, -1)[:, :n]
    low, high = np.quantile(np.median(log_ratio[picked], axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(centre, math.exp(float(low)), math.exp(float(high)), n)
