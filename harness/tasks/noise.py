"""Band-limited white noise that starts at zero.

Legend: M sequences, L samples, K kept frequencies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
