"""LegT: Legendre polynomials on a sliding window, the memory of the LMU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.bases.basis import DefinedBasis, Real, check_state_size, check_window


@dataclass(frozen=True)
class LegT(DefinedBasis):
    """Legendre polynomials on a sliding window: remembers the last `window` evenly, forgets the rest.

        A_nk = -sqrt((2n+1)(2k+1)) / theta                n >= k        B_n = sqrt(2n+1) / theta
               -sqrt((2n+1)(2k+1)) (-1)^(n-k) / theta     n < k

    K_n(t) = sqrt(2n+1) P_n(1 - 2t/theta) / theta under omega = 1/theta on [0, theta], in the limit of large N: the
    sample leaving the window is read from the state, u(t - theta) = sum_k (-1)^k sqrt(2k+1) x_k, and that sum read as
    an output is the [N-1/N] Pade approximant of the delay e^(-theta s).
    A + A^T = -(r r^T + e e^T)/theta, r_n = sqrt(2n+1), e_n = (-1)^n r_n, so P has rank 2 (even and odd entries of r)
    and A + PP^T is skew.

    `window` is theta: 2.0 is the convention E[measure] = 1 and the official code's; 1.0 is the papers' unit window.

    Gu et al. 2020, "HiPPO"; Gu et al. 2022, "How to Train Your HiPPO". The LMU is the same up to scaling.
    """

    version: ClassVar[int] = 1
    required_rank: ClassVar[int] = 2
    exact: ClassVar[bool] = False

    window: float = 2.0

    def __post_init__(self) -> None:
        check_window(self.window)

    def matrices(self, n: int) -> tuple[Real, Real]:
        """A (N, N) and B (N,). Raises UsageError for n < 1."""
        check_state_size(n)
        k = np.arange(n)
        r = np.sqrt(2 * k + 1.0)
        sign = np.where(k[:, None] >= k, 1, (-1) ** np.abs(k[:, None] - k))
        return -np.outer(r, r) * sign / self.window, r / self.window

    def low_rank(self, n: int) -> Real:
        """P (2, N): the even and the odd entries of r / sqrt(theta). Raises UsageError for n < 1."""
        check_state_size(n)
        k = np.arange(n)
        r = np.sqrt((2 * k + 1.0) / self.window)
        return np.stack([np.where(k % 2 == 0, r, 0.0), np.where(k % 2 == 1, r, 0.0)])

    @property
    def support(self) -> float:
        """theta, the window."""
        return self.window

    @property
    def timescale(self) -> float:
        """E[measure] = theta / 2."""
        return self.window / 2

    def measure(self, t: Real) -> Real:
        """omega(t) = 1/theta on [0, theta] (T,)."""
        return np.where((t >= 0) & (t <= self.window), 1 / self.window, 0.0)

    def functions(self, n: int, t: Real) -> Real:
        """K_n(t) = sqrt(2n+1) P_n(1 - 2t/theta) / theta in the window, (N, T). Raises UsageError for n < 1."""
        from scipy.special import eval_legendre

        check_state_size(n)
        k = np.arange(n)[:, None]
        s = np.clip(t, 0, self.window) / self.window
        K: Real = np.sqrt(2 * k + 1.0) * eval_legendre(k, 1 - 2 * s) * self.measure(t)
        return K
