"""The exact diagonalisation of a real system x' = Ax + Bu, one of each conjugate pair.

A = X diag(Lambda) X^-1        c e^{tA} B = 2 Re sum_j (c X)_j B_j e^{t Lambda_j}
"""

from __future__ import annotations

import numpy as np

from harness.bases.basis import Complex, Real
from harness.errors import HarnessError


def diagonalise(A: Real, B: Real) -> tuple[Complex, Complex, Complex]:
    """Lambda (M,), B (M,) and X (N, M): unit eigenvectors with Im(Lambda) >= 0, ascending.

    B = X^-1 B is real and >= 0 by choice of the eigenvectors' phases; a real eigenvalue has half of its input, because
    2 Re would count it twice. Raises HarnessError where X is so ill-conditioned that it does not rebuild A within
    cond(X) eps |A|_2, or cond(X) passes 1e8 and half the digits are gone.
    """
    Lambda, X = np.linalg.eig(A)
    Lambda, X = Lambda.astype(np.complex128), X.astype(np.complex128)
    condition = float(np.linalg.cond(X))
    rebuilt = (X * Lambda) @ np.linalg.inv(X)
    rounding = len(A) * condition * np.finfo(np.float64).eps * float(np.linalg.norm(A, 2))
    if condition > 1e8 or float(np.abs(rebuilt - A).max()) > rounding:
        raise HarnessError(
            f"A matrix of size {len(A)} cannot be diagonalised: its eigenvectors have condition {condition:.2g}. "
            f'Use the structure "dplr".'
        )
    VB = np.linalg.solve(X, B.astype(np.complex128))
    keep = np.flatnonzero(Lambda.imag >= 0)
    keep = keep[np.argsort(Lambda[keep].imag)]
    Lambda, X, VB = Lambda[keep], X[:, keep], VB[keep]
    phase = np.where(VB == 0, 1, VB / np.where(VB == 0, 1, np.abs(VB)))
    VB = np.abs(VB) * np.where(Lambda.imag == 0, 0.5, 1.0)
    return Lambda, VB.astype(np.complex128), X * phase
