"""S4D-Real: decays without oscillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.bases.basis import Complex, DiagonalBasis, check_state_size


@dataclass(frozen=True)
class S4DReal(DiagonalBasis):
    """Real, negative eigenvalues: the first N/2 of LegS's own, with no oscillation.

        Lambda_n = -(n + 1),  n = 0 .. N/2 - 1        B_n = 1

    Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State Space Models" (S4D).
    """

    version: ClassVar[int] = 1

    def spectrum(self, n: int) -> tuple[Complex, Complex]:
        """Eigenvalues (N/2,) and inputs (N/2,). Raises UsageError for an odd n."""
        check_state_size(n, even=True)
        Lambda = -(np.arange(n // 2) + 1.0).astype(np.complex128)
        return Lambda, np.ones(n // 2, dtype=np.complex128)
