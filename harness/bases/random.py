"""random: the control, stable and oscillating like the others but remembering nothing in particular."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.bases.basis import Complex, DiagonalBasis, MatrixBasis, Real, check_state_size
from harness.bases.normal import normal_form
from harness.errors import UsageError


@dataclass(frozen=True)
class Random(MatrixBasis, DiagonalBasis):
    """A control without HiPPO structure: a random normal-plus-low-rank matrix, stable by construction.

        A = -1/2 I + S - PP^T        P_n, B_n ~ N(0, 1)        S = s (G - G^T)/sqrt2,  G_nk ~ N(0, 1)

    A + A^T = -I - 2PP^T, so every solution decays at least like e^(-t/2). s = pi sqrt(N)/4 spreads the frequencies of S
    over [0, pi N/2], the band of FouT and S4D-Lin (semicircle law), and |P|^2, |B|^2 are N, as for FouT.
    It has no measure and no functions, so it is no DefinedBasis. "diagonal" is its normal part, P dropped, as S4D-LegS
    is LegS's. `draw` names the matrix: the same draw and N give the same A, B and P.

    This project's own control; no paper's.
    """

    version: ClassVar[int] = 1
    structures: ClassVar[tuple[str, ...]] = ("dplr", "dense", "diagonal")
    required_rank: ClassVar[int] = 1

    draw: int = 0

    def __post_init__(self) -> None:
        if self.draw < 0:
            raise UsageError(f"The draw is {self.draw}. Give an integer of 0 or more.")

    def matrices(self, n: int) -> tuple[Real, Real]:
        """A (N, N) and B (N,). Raises UsageError for n < 1."""
        S, P, B = self._draws(n)
        return S - 0.5 * np.eye(n) - P.T @ P, B

    def low_rank(self, n: int) -> Real:
        """P (1, N). Raises UsageError for n < 1."""
        _, P, _ = self._draws(n)
        return P

    def spectrum(self, n: int) -> tuple[Complex, Complex]:
        """Eigenvalues (N/2,) of A + PP^T and inputs V* B (N/2,). Raises UsageError for an odd n."""
        form = normal_form(self, n)
        return form.Lambda, form.B

    def _draws(self, n: int) -> tuple[Real, Real, Real]:
        check_state_size(n)
        generator = np.random.default_rng([self.draw, n])
        G = generator.standard_normal((n, n))
        S = np.pi * np.sqrt(n) / 4 * (G - G.T) / np.sqrt(2)
        return S, generator.standard_normal((1, n)), generator.standard_normal(n)
