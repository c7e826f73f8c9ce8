"""What a frozen state space remembers of a random signal: the error of its best linear read-out, without sampling.

    x_{t+1} = Abar x_t + Bbar u_t        Abar = (I - dt/2 A)^-1 (I + dt/2 A)        Bbar = (I - dt/2 A)^-1 dt B

After L steps x_L = K u with K = [Abar^{L-1} Bbar, ..., Bbar]. For u = F z, z standard normal, the features are
G z with G = [K F; f_{L-1}], the last sample standing for the feed-through D, and the best read-out of a target T z
leaves T (I - G^+ G) z.

Legend: N state size, L length, Z dimension of z, S samples of the target; all NumPy float64.

Source: bilinear discretisation of Gu et al. 2022 (S4); the projection is that of least squares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

FROZEN = ("legs", "legt", "fout")
"""The bases whose frozen state spaces are among the references of a task."""


def kernel(A: Real, B: Real, dt: float, length: int) -> Real:
    """K (N, L) of A (N, N) and B (N,), by doubling: the next columns are Abar^m times the m that are there."""
    I = np.eye(len(B))  # noqa: E741
    power = np.linalg.solve(I - dt / 2 * A, I + dt / 2 * A)
    K = np.linalg.solve(I - dt / 2 * A, dt * B)[:, None]
    while K.shape[1] < length:
        K = np.concatenate([K, power @ K], axis=1)
        power = power @ power
    return np.asarray(K[:, :length][:, ::-1], dtype=np.float64)


def unexplained(K: Real, F: Real, T: Real) -> float:
    """Root mean square over S of what the best linear read-out of K u and u_{L-1} leaves of the target T z (S, Z)."""
    G = np.concatenate([K @ F, F[-1:]])
    # Every state counts alike, whatever its scale: the read-out can undo it.
    norms = np.linalg.norm(G, axis=1, keepdims=True)
    G = np.divide(G, norms, out=np.zeros_like(G), where=norms > 0)
    _, strength, Q = np.linalg.svd(G, full_matrices=False)
    Q = Q[strength > max(G.shape) * np.finfo(float).eps * strength[0]]
    return float(np.sqrt(np.mean(np.sum((T - T @ Q.T @ Q) ** 2, axis=1))))
