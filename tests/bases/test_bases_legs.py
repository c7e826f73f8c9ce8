"""LegS: its closed forms, and the time-varying system of the same matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from basis_checks import EPS, gramian

from harness.bases.legs import LegS


@pytest.mark.parametrize("n", [8, 32])
def test_the_kernel_is_a_legendre_polynomial_of_the_decaying_past(n):
    A, B = LegS().matrices(n)
    t = np.linspace(0, 5, 21)
    kernel = np.stack([scipy.linalg.expm(s * A) @ B for s in t], axis=1)
    # |e^{tA}| <= e^{-t/2}, so a backward error of EPS |tA| in expm moves the kernel by no more than EPS |5A| |B|.
    rounding = EPS * 5 * np.linalg.norm(A, 2) * np.linalg.norm(B)
    np.testing.assert_allclose(kernel, LegS().functions(n, t), rtol=0, atol=rounding)


def test_the_symmetric_part_is_the_identity_and_the_input():
    A, B = LegS().matrices(64)
    # Each entry is a sum of four numbers of at most 2N, rounded once each.
    np.testing.assert_allclose(A + A.T + np.outer(B, B), -np.eye(64), rtol=0, atol=4 * EPS * 128)


def test_the_gramian_is_the_jacobi_matrix_whose_eigenvalues_are_the_gauss_nodes():
    n = 16
    W = gramian(LegS(), n)
    k = np.arange(n - 1)
    off = (k + 1) / (2 * np.sqrt((2 * k + 1) * (2 * k + 3)))
    # Bartels-Stewart: relative error N EPS over the separation of A, which is at least 1 here (A + A^T <= -I).
    rounding = n * EPS * np.linalg.norm(LegS().matrices(n)[0], 2)
    np.testing.assert_allclose(W, np.eye(n) / 2 + np.diag(off, 1) + np.diag(off, -1), rtol=0, atol=rounding)
    nodes = (np.polynomial.legendre.leggauss(n)[0] + 1) / 2
    np.testing.assert_allclose(np.linalg.eigvalsh(W), nodes, rtol=0, atol=n * rounding)


def test_the_eigenvalues_are_the_negative_integers():
    A, _ = LegS().matrices(64)
    assert not np.triu(A, 1).any()
    np.testing.assert_array_equal(np.diag(A), -np.arange(1, 65))


WARPS = {
    "scale-invariant, a = log t": (np.log, lambda t: 1 / t),
    "a = 2 log t": (lambda t: 2 * np.log(t), lambda t: 2 / t),
    "a = t + log t": (lambda t: t + np.log(t), lambda t: 1 + 1 / t),
}


@pytest.mark.parametrize(("a", "rate"), WARPS.values(), ids=WARPS)
def test_any_warp_of_time_remembers_with_the_warped_functions(a, rate):
    n = 8
    A, B = LegS().matrices(n)

    def signal(t):
        return np.cos(3 * t) + t

    def memory(t):
        """x_n(t) = int_0^t K_n(a(t) - a(s)) a'(s) u(s) ds."""
        x, w = np.polynomial.legendre.leggauss(64)
        s = t * (x + 1) / 2
        return LegS().functions(n, a(t) - a(s)) @ (t / 2 * w * rate(s) * signal(s))

    run = scipy.integrate.solve_ivp(
        lambda t, x: rate(t) * (A @ x + B * signal(t)), (0.5, 3.0), memory(0.5), method="DOP853", rtol=1e-10, atol=1e-11
    )
    # The solver's own tolerance per step, over its steps; the system contracts, so errors do not grow.
    np.testing.assert_allclose(run.y[:, -1], memory(3.0), rtol=0, atol=1e-10 * len(run.t) * np.abs(run.y).max())
