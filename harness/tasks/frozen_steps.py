"""What a frozen state space gives back at every step of a random signal: the error of one read-out for all steps.

    x_t = Abar x_{t-1} + Bbar u_t = K p_t        p_t = (0, ..., 0, u_0, ..., u_t)        K of `frozen`

The features of step t are G p_t with G = [K; e_{L-1}], the last sample standing for the feed-through D, and the target
u_{t-lag} is sample L - 1 - lag of p_t, which is zero until the lag is over. With V = sum_t E p_t p_t^T and e the unit
vector of the target, the best C and D leave e^T (V - V G^T (G V G^T)^+ G V) e of the squares of all steps.

V_ab = sum_{s=0}^{m} E u_{a-s} u_{b-s} with m = min(a, b), and E u_i u_j = r(i-j) - r(i) - r(j) + r(0) with r the
autocorrelation of the band-limited noise before its shift. Nothing is sampled.

Legend: N state size, L length, n number of columns or features; all NumPy float64.

Source: bilinear discretisation of Gu et al. 2022 (S4); the projection is that of least squares.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from harness.tasks.noise import kept_frequencies

Real = NDArray[np.float64]

ROWS = 256
"""Rows of V at a time, so that V itself, which is as large as the square of L, is never held."""


def delay_errors(kernels: list[Real], lag: int, band: float, rms: float) -> list[float]:
    """Root mean square over L steps of what each K (N, L) and the last sample leave of the input `lag` samples ago."""
    L = kernels[0].shape[1]
    unit = np.eye(L)[[L - 1 - lag, L - 1]]
    every = np.concatenate([unit, *kernels])
    V = every @ history(every.T, band, rms)
    ends = np.cumsum([2, *(len(K) for K in kernels)])
    rows = [np.array([1, *range(start, stop)]) for start, stop in itertools.pairwise(ends)]
    return [float(np.sqrt(left_over(V[np.ix_(row, row)], V[row, 0], V[0, 0], L) / L)) for row in rows]


def history(X: Real, band: float, rms: float) -> Real:
    """V X for X (L, n)."""
    L = len(X)
    r = autocorrelation(L, band, rms)
    R = np.concatenate([[0.0], np.cumsum(r)])
    b = np.arange(L)
    found = np.empty_like(X)
    for start in range(0, L, ROWS):
        a = b[start : start + ROWS, None]
        m = np.minimum(a, b)
        V = (m + 1) * (r[np.abs(a - b)] + r[0]) - (R[a + 1] - R[a - m]) - (R[b + 1] - R[b - m])
        found[start : start + ROWS] = V @ X
    return found


def autocorrelation(length: int, band: float, rms: float) -> Real:
    """r_j = rms^2 times the mean over the kept k of cos(2 pi j k / L), j = 0..L-1."""
    count = kept_frequencies(length, band)
    c = np.zeros(length // 2 + 1)
    c[1 : count + 1] = rms**2 * length / (2 * count)
    return np.asarray(np.fft.irfft(c, n=length), dtype=np.float64)


def left_over(S: Real, s: Real, power: float, length: int) -> float:
    """power - s^T S^+ s, of the target's power: S (n, n) are the features' moments, s (n,) theirs with the target."""
    # Every feature counts alike, whatever its scale: the read-out can undo it.
    scale = np.sqrt(S.diagonal())
    scale = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    strength, Q = np.linalg.eigh(S * scale[:, None] * scale)
    kept = strength > length * np.finfo(float).eps * strength[-1]
    explained = float(np.sum((Q[:, kept].T @ (scale * s)) ** 2 / strength[kept]))
    return max(power - explained, 0.0)
