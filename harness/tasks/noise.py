"""Band-limited white noise that starts at zero.

Legend: M sequences, L samples, K kept frequencies.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError


def kept_frequencies(length: int, band: float) -> int:
    """K, the number of frequencies k/L with 1 <= k <= band L that lie below the last bin of the real transform."""
    rounding = 1e-9
    return max(0, min(int(band * length + rounding), length // 2 - 1))


def band_limited_noise(
    rng: np.random.Generator, count: int, length: int, band: float, rms: float
) -> NDArray[np.float64]:
    """White noise below `band` cycles per sample, shifted to start at zero; (M, L) float64.

    w_j = (1/L) sum_k 2 Re(c_k e^{2 pi i j k / L}), c_k complex Gaussian with E|c_k|^2 = (rms L)^2 / (2 K), so that
    E w_j^2 = rms^2; the signal is u_j = w_j - w_0, and its mean over the L samples is -w_0 because w has no k = 0.

    Source: the whitesignal of the official S4 code (Gu et al. 2022), the input of its delay task.
    """
    K = kept_frequencies(length, band)
    parts = rng.standard_normal((count, K, 2)) * (rms * length / (2.0 * np.sqrt(K)))
    c = np.zeros((count, length // 2 + 1), dtype=np.complex128)
    c[:, 1 : K + 1] = parts[..., 0] + 1j * parts[..., 1]
    w = np.fft.irfft(c, n=length, axis=-1)
    return np.asarray(w - w[:, :1], dtype=np.float64)


def noise_factor(length: int, band: float, rms: float) -> NDArray[np.float64]:
    """F (L, 2K) with u = F z for z standard normal (2K,): what `band_limited_noise` draws, as a matrix.

    F = rms / sqrt(K) [cos(2 pi j k / L) - 1, -sin(2 pi j k / L)], so that the covariance of the signal is F F^T.
    """
    K = kept_frequencies(length, band)
    # Whole turns are taken off as integers, so that the angles of long signals keep every digit.
    turns = np.outer(np.arange(length), np.arange(1, K + 1)) % length
    angle = 2 * np.pi * turns / length
    return np.asarray(rms / np.sqrt(K) * np.concatenate([np.cos(angle) - 1.0, -np.sin(angle)], axis=1))


def check_noise(length: int, band: float, rms: float) -> None:
    """Raise UsageError where no such noise exists."""
    if not 0.0 < band <= 0.5:
        raise UsageError(f"task.band is {band}; it must be above 0 and at most 0.5 cycles per sample.")
    if not 0.0 < rms < math.inf:
        raise UsageError(f"task.rms is {rms}; it must be above 0.")
    if kept_frequencies(length, band) < 1:
        raise UsageError(
            f"task.band = {band} keeps no frequency of {length} samples; "
            f"raise task.band or task.length until their product is at least 1."
        )
