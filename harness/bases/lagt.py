"""LagT: Laguerre functions of the whole past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from harness.bases.basis import DefinedBasis, Real, check_option, check_state_size

Form = Literal["functions", "hippo2020"]


@dataclass(frozen=True)
class LagT(DefinedBasis):
    """Laguerre functions of the past: an even weight on all of it, so that a constant input fills the state.

        A_nk = -1       n > k        B_n = 1
               -a       n = k        P_n = sqrt(1/2)
               0        n < k

    form "functions" (the official code's `lagt`): a = 1/2, K_n(t) = L_n(t) e^(-t/2), orthonormal under omega = 1 on
    [0, inf), exactly at every N. That measure has no mean, so the convention E[measure] = 1 cannot hold and the
    code's scale is kept; the state of a constant input has |x|^2 = 4N (1 for LegS).
    form "hippo2020" (the first paper's): a = 1, K_n(t) = L_n(t) e^-t under omega = e^-t.
    A + PP^T is skew in the first and -1/2 I + skew in the second.

    Gu et al. 2022, "How to Train Your HiPPO", which advises against LagT; Gu et al. 2020, "HiPPO".
    """

    version: ClassVar[int] = 1
    required_rank: ClassVar[int] = 1
    exact: ClassVar[bool] = True

    form: Form = "functions"

    def __post_init__(self) -> None:
        check_option("form", self.form, get_args(Form))

    def matrices(self, n: int) -> tuple[Real, Real]:
        """A (N, N) and B (N,). Raises UsageError for n < 1."""
        check_state_size(n)
        a = 0.5 if self.form == "functions" else 1.0
        A = -np.tril(np.ones((n, n)), -1) - a * np.eye(n)
        return A, np.ones(n)

    def low_rank(self, n: int) -> Real:
        """P (1, N). Raises UsageError for n < 1."""
        check_state_size(n)
        return np.full((1, n), np.sqrt(0.5))

    @property
    def support(self) -> float:
        """Infinite in both forms."""
        return float("inf")

    @property
    def timescale(self) -> float:
        """E[measure]: infinite for the even weight of "functions", 1 for the e^-t of "hippo2020"."""
        return float("inf") if self.form == "functions" else 1.0

    def measure(self, t: Real) -> Real:
        """omega(t) = 1 or e^-t for t >= 0 (T,)."""
        weight = np.ones_like(t) if self.form == "functions" else np.exp(-np.abs(t))
        return np.where(t >= 0, weight, 0.0)

    def functions(self, n: int, t: Real) -> Real:
        """K_n(t) = L_n(t) e^(-t/2) or L_n(t) e^-t, (N, T). Raises UsageError for n < 1."""
        from scipy.special import eval_laguerre

        check_state_size(n)
        decay = 0.5 if self.form == "functions" else 1.0
        k = np.arange(n)[:, None]
        return np.where(t >= 0, eval_laguerre(k, np.abs(t)) * np.exp(-decay * np.abs(t)), 0.0)
