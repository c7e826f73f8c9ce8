"""S4D-Inv: the inverse-law approximation of LegS's frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.bases.basis import Complex, DiagonalBasis, check_state_size


@dataclass(frozen=True)
class S4DInv(DiagonalBasis):
    """Frequencies by the inverse law that S4D-LegS follows at the top of its spectrum.

        Lambda_n = -1/2 + i (N/pi) (N/(2n+1) - 1),  n = 0 .. N/2 - 1        B_n = 1

    Good for the largest frequencies (N = 256: 20779 for 20860), poor for the smallest (0.32 for 0.21).

    Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State Space Models" (S4D).
    """

    version: ClassVar[int] = 1

    def spectrum(self, n: int) -> tuple[Complex, Complex]:
        """Eigenvalues (N/2,) and inputs (N/2,). Raises UsageError for an odd n."""
        check_state_size(n, even=True)
        k = np.arange(n // 2)
        Lambda = np.asarray(-0.5 + 1j * (n / np.pi) * (n / (2 * k + 1) - 1), dtype=np.complex128)
        return Lambda, np.ones(n // 2, dtype=np.complex128)
