"""S4D-LegS: the normal part of LegS, without its low-rank term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.bases.basis import Complex, DiagonalBasis
from harness.bases.legs import LegS
from harness.bases.normal import normal_form


@dataclass(frozen=True)
class S4DLegS(DiagonalBasis):
    """The eigenvalues of LegS's normal part: LegS with its low-rank term dropped.

        Lambda = eig(A_LegS + PP^T),  Re = -1/2,  largest Im -> N^2/pi        B = V* B_LegS

    Its kernels approach those of LegS only weakly, for smooth inputs, and only with B/2; B is not halved here, as in
    the official code, since training absorbs a constant factor.

    Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State Space Models" (S4D).
    """

    version: ClassVar[int] = 1

    def spectrum(self, n: int) -> tuple[Complex, Complex]:
        """Eigenvalues (N/2,) and inputs (N/2,). Raises UsageError for an odd n."""
        form = normal_form(LegS(), n)
        return form.Lambda, form.B
