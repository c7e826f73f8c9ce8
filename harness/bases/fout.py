"""FouT: the Fourier basis on a sliding window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from harness.bases.basis import (
    Complex,
    DefinedBasis,
    DiagonalBasis,
    Real,
    check_option,
    check_state_size,
    check_window,
)
from harness.bases.diagonalise import diagonalise

Closure = Literal["hippo", "naive"]


@dataclass(frozen=True)
class FouT(DefinedBasis, DiagonalBasis):
    """Sines and cosines on a sliding window: remembers the last `window` evenly, best at low frequencies.

        A = (S - 2 b b^T) / theta      B = 2 b / theta      b = (1, 0, sqrt2, 0, sqrt2, 0, ...)

    in the order (cos 0, sin 0, cos 1, sin 1, ...), where S has the blocks [[0, -2 pi m], [2 pi m, 0]]. N is even, and
    state 1, the "sin 0", is zero for ever. K(t) = (1, 0, sqrt2 cos, sqrt2 sin, ...)(2 pi m t/theta) / theta under
    omega = 1/theta on [0, theta], in the limit of large N. P = b sqrt(2/theta) makes A + PP^T skew.

    A Fourier series converges to the mid-point of a jump, so b^T x reads (u(t) + u(t - theta))/2 and the sample leaving
    the window is u(t - theta) = 2 b^T x - u(t): closure "hippo". The recipe that is right for polynomials,
    u(t - theta) = b^T x, gives A = (S - b b^T)/theta, B = b/theta, which echoes every window with ratio 1/3 and keeps a
    leakage that no N removes: closure "naive", an ablation.

    `window` is theta: 2.0 is the convention E[measure] = 1 and the official code's; 1.0 is the papers' unit window.
    "diagonal" is the exact diagonalisation of A: dropping P instead would leave an undamped, periodic memory.

    Gu et al. 2022, "How to Train Your HiPPO"; official code, `fout`.
    """

    version: ClassVar[int] = 1
    structures: ClassVar[tuple[str, ...]] = ("dplr", "dense", "diagonal")
    required_rank: ClassVar[int] = 1
    diagonalisable: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    window: float = 2.0
    closure: Closure = "hippo"

    def __post_init__(self) -> None:
        check_window(self.window)
        check_option("closure", self.closure, get_args(Closure))

    def matrices(self, n: int) -> tuple[Real, Real]:
        """A (N, N) and B (N,). Raises UsageError for an odd n."""
        b = _mean_of_ends(n)
        frequency = np.zeros(n - 1)
        frequency[0::2] = 2 * np.pi * np.arange(n // 2)
        S = np.diag(frequency, -1) - np.diag(frequency, 1)
        weight = self._weight
        return (S - weight * np.outer(b, b)) / self.window, weight * b / self.window

    def low_rank(self, n: int) -> Real:
        """P (1, N). Raises UsageError for an odd n."""
        P: Real = np.sqrt(self._weight / self.window) * _mean_of_ends(n)[None]
        return P

    def spectrum(self, n: int) -> tuple[Complex, Complex]:
        """Eigenvalues (N/2,) of A without its dead state, and inputs (N/2,): the same kernels as A and B.

        N - 1 states live: one real eigenvalue, whose input is halved so that 2 Re counts it once, and N/2 - 1 pairs.
        Raises UsageError for an odd n.
        """
        Lambda, B, _ = self.diagonal_form(n)
        return Lambda, B

    def diagonal_form(self, n: int) -> tuple[Complex, Complex, Complex]:
        """`spectrum` and X (N, N/2), unit eigenvectors: a real output c of A is the output c X of the spectrum."""
        A, B = self.matrices(n)
        live = np.arange(n) != 1
        Lambda, VB, live_X = diagonalise(A[np.ix_(live, live)], B[live])
        X = np.zeros((n, len(Lambda)), dtype=np.complex128)
        X[live] = live_X
        return Lambda, VB, X

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
        """K(t), (N, T): cos 2 pi m t/theta in row 2m, sin in row 2m + 1. Raises UsageError for an odd n."""
        b = _mean_of_ends(n)
        angle = 2 * np.pi * np.arange(n // 2)[:, None] * t / self.window
        waves = np.stack([np.cos(angle), np.sin(angle)], axis=1).reshape(n, -1)
        K: Real = np.repeat(b[0::2], 2)[:, None] * waves * self.measure(t)
        return K

    @property
    def _weight(self) -> float:
        return 2.0 if self.closure == "hippo" else 1.0


def _mean_of_ends(n: int) -> Real:
    """b (N,): b^T x is the value of the series at the wrap-around, the mean of the window's two ends."""
    check_state_size(n, even=True)
    b = np.zeros(n)
    b[0::2] = np.sqrt(2)
    b[0] = 1
    return b
