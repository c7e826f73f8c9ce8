"""The delay task against the statistics that its definition implies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import UsageError
from harness.tasks.delay import Delay
from harness.tasks.noise import band_limited_noise, kept_frequencies


@pytest.mark.parametrize("length", [40, 41, 1000])
@pytest.mark.parametrize("band", [0.1, 0.25, 0.5])
def test_noise_starts_at_zero_and_stays_in_its_band(length: int, band: float) -> None:
    u = band_limited_noise(np.random.default_rng(0), 16, length, band, rms=0.5)
    spectrum = np.abs(np.fft.rfft(u, axis=-1))
    frequencies = np.arange(spectrum.shape[1]) / length
    # Two transforms, each with an error of about eps log2(L) times the norm of its result.
    rounding = 10 * np.finfo(float).eps * np.log2(length) * np.linalg.norm(spectrum, axis=-1).max()
    assert (u[:, 0] == 0).all()
    assert spectrum[:, frequencies > band].max(initial=0.0) < rounding
    assert spectrum[:, -1].max() < rounding
    inside = (frequencies > 0) & (frequencies <= band)
    inside[-1] = False
    assert (spectrum[:, inside] > rounding).all() and inside.sum() == kept_frequencies(length, band)


def test_noise_has_the_stated_rms_before_its_shift() -> None:
    count, length, rms = 400, 500, 0.5
    u = band_limited_noise(np.random.default_rng(1), count, length, 0.25, rms)
    power = (u - u.mean(axis=-1, keepdims=True)) ** 2
    # The power of one sequence is rms^2 chi2(2K) / 2K, whose deviation is rms^2 / sqrt(K); five deviations of the mean.
    deviation = rms**2 / np.sqrt(kept_frequencies(length, 0.25) * count)
    assert abs(power.mean() - rms**2) < 5 * deviation


def test_the_spectrum_is_flat_inside_the_band() -> None:
    count, length = 2000, 100
    u = band_limited_noise(np.random.default_rng(2), count, length, 0.25, 0.5)
    power = (np.abs(np.fft.rfft(u, axis=-1)) ** 2)[:, 1:26].mean(axis=0)
    # |c_k|^2 is exponential: its deviation is its mean. Five deviations for each of the 25 frequencies.
    expected = (0.5 * length) ** 2 / (2 * 25)
    assert np.abs(power / expected - 1).max() < 5 / np.sqrt(count)


def test_the_trivial_predictors_score_as_the_definition_says_at_the_paper_s_size() -> None:
    task = Delay()
    references = task.open(None, seed=0).references()
    L, lag, rms, M = task.length, task.lag, task.rms, task.evaluation_examples
    K = kept_frequencies(L, task.band)
    j = np.arange(L - lag)
    autocorrelation = rms**2 / K * np.cos(2 * np.pi * np.outer(j, np.arange(1, K + 1)) / L).sum(axis=1)
    zero = 2 * (rms**2 - autocorrelation).sum() / L
    # Per sequence the error is (1 - lag/L) (power + w_0^2), and w_0^2 dominates its deviation: sqrt(2) rms^2.
    deviation = 0.75 * np.sqrt(2) * rms**2 / np.sqrt(M)
    assert abs(references["zero"] ** 2 - zero) < 5 * deviation
    # 0.609 is a sample's figure; the definition gives 0.6124, and an rmse deviates by that of its square over 2 rmse.
    assert abs(np.sqrt(zero) - 0.609) < 5 * deviation / (2 * 0.609)
    # Over 3/4 of a sequence the white part has about 2 K 3/4 degrees of freedom; 0.433 is sqrt(0.75 rms^2), rounded.
    spread = 0.75 * rms**2 / np.sqrt(0.75 * K * M) / (2 * 0.433)
    assert abs(references["constant"] - 0.433) < 5 * spread + 0.0005


def test_the_target_is_the_input_shifted_exactly() -> None:
    batch = Delay(length=60, lag=17).open(None, 0).train_batch(4, 8, order_seed=2)
    assert torch.equal(batch.y[:, 17:], batch.x[:, :-17])
    assert (batch.y[:, :17] == 0).all()


def test_a_lag_of_zero_asks_for_the_input_itself() -> None:
    batch = Delay(length=60, lag=0).open(None, 0).train_batch(0, 4, order_seed=0)
    assert torch.equal(batch.x, batch.y)


def test_the_evaluation_sets_follow_the_data_seed_alone() -> None:
    task = Delay(length=40, lag=10, evaluation_examples=8)
    first, again, other = (next(task.open(None, seed).evaluation("test", 8)).x for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_saying_zero_scores_the_zero_reference_and_a_relative_error_of_one() -> None:
    task = Delay(length=100, lag=25, evaluation_examples=32)
    data = task.open(None, 0)
    batch = next(data.evaluation("test", 32))
    means = {key: total / count for key, (total, count) in task.score(torch.zeros_like(batch.y), batch).items()}
    summary = task.summary(means)
    # Both are float64 sums of the same float32 numbers in another order.
    assert summary["rmse"] == pytest.approx(data.references()["zero"], rel=1e-12)
    assert summary["relative_rmse"] == pytest.approx(1.0, rel=1e-15)


def test_the_longest_lag_still_has_a_target() -> None:
    task = Delay(length=40, lag=38, evaluation_examples=8)
    assert task.open(None, 0).references()["zero"] > 0


def test_the_perfect_answer_has_no_error() -> None:
    task = Delay(length=100, lag=25)
    batch = task.open(None, 0).train_batch(0, 4, 0)
    assert float(task.loss(batch.y, batch)) == 0.0


@pytest.mark.parametrize("parameter", ["length", "lag", "band", "rms", "examples", "evaluation_examples"])
def test_every_parameter_changes_the_fingerprint(parameter: str) -> None:
    changed = {"length": 5000, "lag": 20, "band": 0.2, "rms": 0.4, "examples": 10, "evaluation_examples": 10}
    assert Delay(**{parameter: changed[parameter]}).provenance(None) != Delay().provenance(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"length": 0}, "task.length is 0; it must be at least 1."),
        ({"lag": 3999}, "task.lag is 3999; it must be at least 0 and at most task.length - 2, which is 3998"),
        ({"lag": -1}, "task.lag is -1; it must be at least 0 and at most task.length - 2, which is 3998"),
        ({"band": 0.6}, "task.band is 0.6; it must be above 0 and at most 0.5"),
        ({"rms": 0.0}, "task.rms is 0.0; it must be above 0."),
        ({"rms": float("nan")}, "task.rms is nan; it must be above 0."),
        ({"band": 0.0002}, "task.band = 0.0002 keeps no frequency of 4000 samples"),
        ({"length": 3, "lag": 1, "band": 0.5}, "keeps no frequency of 3 samples"),
    ],
)
def test_a_bad_parameter_is_one_sentence(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        Delay(**parameters)


def test_no_data_root_is_needed(tmp_path: Path) -> None:
    assert Delay().provenance(None) == Delay().provenance(tmp_path)
