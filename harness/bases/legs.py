"""LegS: Legendre polynomials of the whole past under an exponentially fading measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.bases.basis import DefinedBasis, Real, check_state_size


@dataclass(frozen=True)
class LegS(DefinedBasis):
    """Legendre polynomials of e^-t: remembers the whole past, fading exponentially.

        A_nk = -sqrt((2n+1)(2k+1))  n > k        B_n = sqrt(2n+1)
               -(n+1)               n = k        P_n = sqrt(n + 1/2)
               0                    n < k

    K_n(t) = sqrt(2n+1) P_n(2e^-t - 1) e^-t under omega(t) = e^-t, exactly at every N, and A + PP^T = -1/2 I + skew.
    Used time-invariantly, x' = Ax + Bu; HiPPO's scale-invariant form is x' = (Ax + Bu)/t with the same matrices.

    Gu et al. 2022, "How to Train Your HiPPO"; Gu et al. 2020, "HiPPO" (the form with 1/t).
    """

    version: ClassVar[int] = 1
    required_rank: ClassVar[int] = 1
    exact: ClassVar[bool] = True

    def matrices(self, n: int) -> tuple[Real, Real]:
        """A (N, N) and B (N,). Raises UsageError for n < 1."""
        check_state_size(n)
        k = np.arange(n)
        B = np.sqrt(2 * k + 1.0)
        A = -np.tril(np.outer(B, B), -1) - np.diag(k + 1.0)
        return A, B

    def low_rank(self, n: int) -> Real:
        """P (1, N). Raises UsageError for n < 1."""
        check_state_size(n)
        P: Real = np.sqrt(np.arange(n) + 0.5)[None]
        return P

    @property
    def support(self) -> float:
        """Infinite: the measure e^-t never ends."""
        return float("inf")

    @property
    def timescale(self) -> float:
        """E[e^-t] = 1."""
        return 1.0

    def measure(self, t: Real) -> Real:
        """omega(t) = e^-t (T,)."""
        return np.where(t >= 0, np.exp(-np.abs(t)), 0.0)

    def functions(self, n: int, t: Real) -> Real:
        """K_n(t) = sqrt(2n+1) P_n(2e^-t - 1) e^-t, (N, T). Raises UsageError for n < 1."""
        from scipy.special import eval_legendre

        check_state_size(n)
        k = np.arange(n)[:, None]
        K: Real = np.sqrt(2 * k + 1.0) * eval_legendre(k, 2 * np.exp(-np.abs(t)) - 1) * self.measure(t)
        return K
