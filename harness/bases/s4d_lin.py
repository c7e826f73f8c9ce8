"""S4D-Lin: damped Fourier modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.bases.basis import Complex, DiagonalBasis, check_state_size


@dataclass(frozen=True)
class S4DLin(DiagonalBasis):
    """Equally spaced frequencies, all damped alike: the frequencies of FouT on [0, 2] without its window.

        Lambda_n = -1/2 + i pi n,  n = 0 .. N/2 - 1        B_n = 1

    Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State Space Models" (S4D).
    """

    version: ClassVar[int] = 1

    def spectrum(self, n: int) -> tuple[Complex, Complex]:
        """Eigenvalues (N/2,) and inputs (N/2,). Raises UsageError for an odd n."""
        check_state_size(n, even=True)
        Lambda = np.asarray(-0.5 + 1j * np.pi * np.arange(n // 2), dtype=np.complex128)
        return Lambda, np.ones(n // 2, dtype=np.complex128)
