"""The normal-plus-low-rank form of a matrix basis, in the eigenbasis of its normal part.

    A = V diag(Lambda) V* - P P*        A + sum_r P_r P_r^T = c I + S,   S real and skew

S is normal, so its eigenvectors are orthonormal however ill-conditioned those of A are (1e19 for LegS at N = 32).
Gu, Goel, Re 2022, "Efficiently Modeling Long Sequences with Structured State Spaces", NPLR form.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

from harness.bases.basis import Complex, MatrixBasis, Real, check_state_size
from harness.errors import HarnessError


class NormalForm(NamedTuple):
    """One of each conjugate pair, Im(Lambda) >= 0 and ascending; the other half is the complex conjugate.

    In this basis x = 2 Re(V z), z' = Lambda z - P (P* z + conj) + B u, and y = c x = 2 Re((c V) z).
    """

    Lambda: Complex
    """(N/2,): c + i times the non-negative frequencies; neither part is clamped."""
    P: Complex
    """(R, N/2): rows V* P_r."""
    B: Complex
    """(N/2,): V* B, real and >= 0 up to rounding: the phases of V are chosen so, since LAPACK's differ by machine."""
    V: Complex
    """(N, N/2): orthonormal eigenvectors."""


def normal_form(basis: MatrixBasis, n: int) -> NormalForm:
    """The DPLR form of `basis` at state size n.

    Raises UsageError for an odd n, and HarnessError where `low_rank` does not make A normal or the form does
    not rebuild A within the rounding of a symmetric eigensolver, N eps |A|_2 (its backward error bound).
    """
    check_state_size(n, even=True)
    name = type(basis).__name__
    A, B = basis.matrices(n)
    P = basis.low_rank(n)
    normal = A + P.T @ P
    rounding = n * np.finfo(np.float64).eps * float(np.linalg.norm(A, 2) + np.linalg.norm(P, 2) ** 2)
    c = float(np.trace(normal)) / n
    if abs(c) <= rounding:
        c = 0.0  # LegT and FouT: an undamped normal part, which a rounding error would make grow
    S = normal - c * np.eye(n)
    if (deviation := float(np.abs(S + S.T).max())) > rounding:
        raise HarnessError(
            f"The low-rank correction of {name} at state size {n} leaves A + PP^T off normal by {deviation:.2g} "
            f"(rounding is {rounding:.2g}). Correct its `matrices` or `low_rank`."
        )
    frequency, V = _half_eigenvectors((S - S.T) / 2)
    V = V * _phase(V, B)
    Lambda = np.asarray(c + 1j * frequency, dtype=np.complex128)
    VP, VB = P @ V.conj(), B @ V.conj()

    rebuilt = 2 * ((V * Lambda) @ V.conj().T).real - P.T @ P
    identity = 2 * (V @ V.conj().T).real
    error = float(np.abs(rebuilt - A).max())
    if error > rounding or float(np.abs(identity - np.eye(n)).max()) > n * n * np.finfo(np.float64).eps:
        raise HarnessError(
            f"The normal form of {name} at state size {n} rebuilds A only to {error:.2g} (rounding is {rounding:.2g}). "
            f"Report this: the eigensolver failed, or the basis is not normal plus low rank."
        )
    return NormalForm(Lambda, VP, VB, V)


def _half_eigenvectors(S: Real) -> tuple[Real, Complex]:
    """Frequencies (N/2,) >= 0, ascending, and eigenvectors V (N, N/2) of the real skew S, orthogonal to conj(V)."""
    n = len(S)
    frequency, V = scipy.linalg.eigh(-1j * S)
    zero = np.abs(frequency) <= n * np.finfo(np.float64).eps * np.abs(frequency).max()
    positive = (frequency > 0) & ~zero
    pairs = _pair_null_space(V[:, zero])
    frequency = np.concatenate([np.zeros(pairs.shape[1]), frequency[positive]])
    V = np.concatenate([pairs, V[:, positive]], axis=1)
    # eigh knows nothing of conjugation: V^T V is zero only to eps |S| / (2 min frequency), 1e-11 for LegS at N = 256.
    # One Newton step towards the nearest orthogonal matrix squares that error and costs the rebuilding of S nothing.
    Q = np.sqrt(2) * np.concatenate([V.real, V.imag], axis=1)
    Q = Q @ (3 * np.eye(n) - Q.T @ Q) / 2
    return frequency, (Q[:, : n // 2] + 1j * Q[:, n // 2 :]) / np.sqrt(2)


def _pair_null_space(V: Complex) -> Complex:
    """(N, M/2) combinations (q_1 + i q_2)/sqrt2 of a real orthonormal basis q of the span of V (N, M).

    An eigensolver may return real null vectors, which are their own conjugates: keeping half of them would lose
    half of the space. The null space of FouT is rows 0 and 1, and its pair is (1, i)/sqrt2.
    """
    projector = (V @ V.conj().T).real
    q, _, pivots = scipy.linalg.qr(projector, pivoting=True)
    pivots = pivots[: V.shape[1]]
    q = q[:, : V.shape[1]]
    q = (q * np.sign(q[pivots, np.arange(len(pivots))]))[:, np.argsort(pivots)]
    return np.asarray((q[:, 0::2] + 1j * q[:, 1::2]) / np.sqrt(2), dtype=np.complex128)


def _phase(V: Complex, B: Real) -> Complex:
    """Phases (N/2,) that make V* B real and >= 0; a mode the input does not reach keeps its own."""
    VB = B @ V.conj()
    reached = np.abs(VB) > len(B) * np.finfo(np.float64).eps * np.linalg.norm(B)
    return np.where(reached, VB / np.where(reached, np.abs(VB), 1), 1)
