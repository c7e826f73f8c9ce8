"""The S4D family: its formulas, and in which sense S4D-LegS is LegS."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from harness.bases.legs import LegS
from harness.bases.normal import normal_form
from harness.bases.s4d_inv import S4DInv
from harness.bases.s4d_legs import S4DLegS
from harness.bases.s4d_lin import S4DLin
from harness.bases.s4d_real import S4DReal


@pytest.mark.parametrize(
    ("basis", "expected"),
    [
        (S4DLin(), [-0.5, -0.5 + 1j * np.pi, -0.5 + 2j * np.pi]),
        (S4DInv(), [-0.5 + 30j / np.pi, -0.5 + 6j / np.pi, -0.5 + 1.2j / np.pi]),
        (S4DReal(), [-1, -2, -3]),
    ],
)
def test_formulas_at_state_size_six(basis, expected):
    Lambda, B = basis.spectrum(6)
    np.testing.assert_allclose(Lambda, expected, rtol=1e-14)
    np.testing.assert_array_equal(B, np.ones(3))


def test_s4d_legs_is_the_normal_part_of_legs_with_its_whole_input():
    form = normal_form(LegS(), 16)
    Lambda, B = S4DLegS().spectrum(16)
    np.testing.assert_array_equal(Lambda, form.Lambda)
    np.testing.assert_array_equal(B, form.B)


@pytest.mark.parametrize(("rank_from_top", "inverse_law", "legs"), [(1, 20779, 20860), (2, 6872, 6952)])
def test_the_inverse_law_holds_at_the_top_of_the_spectrum(rank_from_top, inverse_law, legs):
    assert np.sort(S4DInv().spectrum(256)[0].imag)[-rank_from_top] == pytest.approx(inverse_law, abs=0.5)
    assert np.sort(S4DLegS().spectrum(256)[0].imag)[-rank_from_top] == pytest.approx(legs, abs=0.5)


def test_the_inverse_law_fails_at_the_bottom_of_the_spectrum():
    assert S4DInv().spectrum(256)[0].imag.min() == pytest.approx(0.3196, abs=5e-5)
    assert S4DLegS().spectrum(256)[0].imag.min() == pytest.approx(0.2125, abs=5e-5)


def response(n, frequency):
    """The first four states of LegS and of its normal part with B/2, driven by e^(i frequency t)."""
    A, B = LegS().matrices(n)
    P = LegS().low_rank(n)
    resolvent = 1j * frequency * np.eye(n)
    exact = np.linalg.solve(resolvent - A, B.astype(complex))
    diagonal = np.linalg.solve(resolvent - (A + P.T @ P), B / 2 + 0j)
    return exact[:4], diagonal[:4]


@pytest.mark.parametrize("frequency", [0.5, 1.0, 4.0])
def test_s4d_legs_tends_to_legs_on_a_band_limited_input(frequency):
    errors = []
    for n in (16, 64, 256):
        exact, diagonal = response(n, frequency)
        errors.append(np.linalg.norm(exact - diagonal) / np.linalg.norm(exact))
    # The error falls as 1/N once N exceeds the frequency: by nearly 4 a step; at least 3 is asked.
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_s4d_legs_does_not_tend_to_legs_as_a_kernel():
    distances = []
    for n in (16, 64, 128):
        A, B = LegS().matrices(n)
        P = LegS().low_rank(n)
        normal = A + P.T @ P
        # L2 distances of kernels from Gramians: int (e^{tA}B - e^{tN}B/2)(...)^T dt.
        W = scipy.linalg.solve_continuous_lyapunov(A, -np.outer(B, B))
        W_normal = scipy.linalg.solve_continuous_lyapunov(normal, -np.outer(B, B) / 4)
        cross = scipy.linalg.solve_sylvester(A, normal.T, -np.outer(B, B) / 2)
        distances.append(np.sqrt(np.diag(W + W_normal - cross - cross.T)[:4]))
    # Each kernel of LegS has norm sqrt(1/2), so these distances, 0.5 to 1.3, are as large as the kernels.
    assert (distances[2] > 0.9 * distances[0]).all() and (distances[2] > 0.45).all()


@pytest.mark.parametrize(("s", "expected"), [(0.5, 1.00001), (20j, 1.126 - 0.108j)])
def test_the_dropped_term_is_felt_only_at_high_frequencies(s, expected):
    # P^T (sI - N)^-1 P -> 1 at each fixed s is why B/2 stands for LegS: A = N - PP^T has resolvent R B / (1 + P^T R P).
    Lambda, P, _, _ = normal_form(LegS(), 256)
    squared = np.abs(P[0]) ** 2
    value = (squared / (s - Lambda) + squared / (s - Lambda.conj())).sum()
    assert abs(value - expected) < (1e-5 if s == 0.5 else 1e-3)
