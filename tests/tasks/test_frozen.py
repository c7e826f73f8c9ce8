"""The frozen read-out, against recurrence and against least squares on samples."""

from __future__ import annotations

import numpy as np
import pytest

from harness.bases import BASES
from harness.bases.basis import MatrixBasis
from harness.registry import lookup
from harness.tasks.frozen import kernel, unexplained
from harness.tasks.noise import band_limited_noise, kept_frequencies, noise_factor
from harness.tasks.reconstruct import Reconstruct

MATRICES = [name for name in BASES if issubclass(lookup("basis", BASES, name), MatrixBasis)]


def matrices(name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    A, B = lookup("basis", BASES, name)().matrices(n)
    return A, B


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("length", [1, 2, 37])
def test_the_kernel_is_the_state_s_impulse_response(name: str, length: int) -> None:
    A, B = matrices(name, 8)
    dt, I = 0.02, np.eye(8)  # noqa: E741
    u = np.random.default_rng(0).standard_normal(length)
    x = np.zeros(8)
    for sample in u:
        x = np.linalg.solve(I - dt / 2 * A, (I + dt / 2 * A) @ x + dt * B * sample)
    # Each step rounds by a few eps of the state; the squared powers of the doubling by as many again.
    scale = np.abs(kernel(A, B, dt, length)).sum(axis=1).max() * np.abs(u).max()
    assert np.abs(kernel(A, B, dt, length) @ u - x).max() <= 100 * length * np.finfo(float).eps * scale


@pytest.mark.parametrize(("length", "band"), [(40, 0.25), (41, 0.5), (1000, 0.1)])
def test_the_factor_has_the_covariance_of_the_noise_s_definition(length: int, band: float) -> None:
    F, K, rms = noise_factor(length, band, 0.5), kept_frequencies(length, band), 0.5
    j = np.arange(length)
    k = np.arange(1, K + 1)
    r = rms**2 / K * np.cos(2 * np.pi * np.outer(j, k) / length).sum(axis=1)
    # E u_i u_j = r(i-j) - r(i) - r(j) + r(0), r the autocorrelation of the noise before its shift.
    expected = r[np.abs(j[:, None] - j)] - r[:, None] - r + r[0]
    # Angles of up to 2 pi L K / L carry eps of their size; the sums have K terms of rms^2 / K.
    assert np.abs(F @ F.T - expected).max() < 4 * 2 * np.pi * K * np.finfo(float).eps + 1e-14


def test_the_factor_draws_what_the_generator_draws() -> None:
    length, band, rms, count = 60, 0.2, 0.5, 20_000
    u = band_limited_noise(np.random.default_rng(0), count, length, band, rms)
    F = noise_factor(length, band, rms)
    C = F @ F.T
    # A sample covariance of Gaussians deviates by sqrt((C_ij^2 + C_ii C_jj) / count); six deviations of 3600 entries.
    deviation = np.sqrt((C**2 + np.outer(C.diagonal(), C.diagonal())) / count)
    assert (np.abs(u.T @ u / count - C) <= 6 * deviation + 1e-12).all()


@pytest.mark.parametrize("name", ["legs", "legt", "fout"])
def test_the_error_is_that_of_least_squares_on_fresh_samples(name: str) -> None:
    """Fitted on 20,000 signals, tried on 20,000 others; the fit of 17 numbers costs 17 / 20,000 of the error."""
    length, memory, N, count = 120, 40, 16, 20_000
    A, B = matrices(name, N)
    task = Reconstruct(length=length, memory=memory, reference_state=N)
    found = task.frozen(A, B, 2 / memory)
    K = kernel(A, B, 2 / memory, length)
    rng = np.random.default_rng(1)
    fit, held = (band_limited_noise(rng, count, length, task.band, task.rms) for _ in range(2))
    features = [np.concatenate([u @ K.T, u[:, -1:]], axis=1) for u in (fit, held)]
    W = np.linalg.lstsq(features[0], fit[:, -memory:], rcond=None)[0]
    error = np.sqrt(np.mean((features[1] @ W - held[:, -memory:]) ** 2))
    # The error lives in at most 2K = 24 directions, the strongest may carry all: its square deviates by sqrt(2/count).
    assert error == pytest.approx(found, rel=0.5 * 17 / count + 5 * np.sqrt(2 / count) / 2)


def test_a_memory_of_everything_leaves_nothing_and_of_nothing_leaves_all() -> None:
    F = noise_factor(50, 0.2, 0.5)
    T = F[-20:]
    everything = unexplained(np.eye(50), F, T)
    # A projection rounds by some eps of the target's norm.
    assert everything < 100 * np.finfo(float).eps
    last = F[-1] / np.linalg.norm(F[-1])
    rest = T - np.outer(T @ last, last)
    assert unexplained(np.zeros((3, 50)), F, T) == pytest.approx(np.sqrt((rest**2).sum() / 20), rel=1e-12)


def test_the_scale_of_a_state_does_not_matter() -> None:
    A, B = matrices("legs", 8)
    K, F = kernel(A, B, 0.05, 80), noise_factor(80, 0.1, 0.5)
    scaled = unexplained(np.geomspace(1e-9, 1e9, 8)[:, None] * K, F, F[-40:])
    # The condition of eight states at this size is below 1e4, which multiplies eps.
    assert scaled == pytest.approx(unexplained(K, F, F[-40:]), rel=1e-10)
