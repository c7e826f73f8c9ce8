"""A + PP^T is normal, and its eigenvectors rebuild A."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.linalg
from basis_checks import EPS, instances

from harness.bases.basis import MatrixBasis
from harness.bases.fout import FouT
from harness.bases.lagt import LagT
from harness.bases.legs import LegS
from harness.bases.legt import LegT
from harness.bases.normal import normal_form
from harness.errors import HarnessError, UsageError

MATRIX = {
    **instances(MatrixBasis),
    "legt, unit window": LegT(window=1.0),
    "fout, unit window": FouT(window=1.0),
    "fout, naive": FouT(closure="naive"),
    "lagt, hippo2020": LagT(form="hippo2020"),
}
over_matrix = pytest.mark.parametrize("basis", MATRIX.values(), ids=MATRIX)


@over_matrix
@pytest.mark.parametrize("n", [4, 16, 64, 256])
def test_normal_form_rebuilds_the_matrices(basis, n):
    A, B = basis.matrices(n)
    P_real = basis.low_rank(n)
    Lambda, P, B_eig, V = normal_form(basis, n)
    # N EPS |A|, the backward error bound of a symmetric eigensolver.
    rounding = n * EPS * (np.linalg.norm(A, 2) + np.linalg.norm(P_real, 2) ** 2)
    full_V = np.concatenate([V, V.conj()], axis=1)
    full_P = np.concatenate([P, P.conj()], axis=1)
    diagonal = np.diag(np.concatenate([Lambda, Lambda.conj()]))
    np.testing.assert_allclose(full_V.conj().T @ full_V, np.eye(n), rtol=0, atol=n * EPS * 8)
    np.testing.assert_allclose(
        full_V @ (diagonal - full_P.T @ full_P.conj()) @ full_V.conj().T, A, rtol=0, atol=rounding
    )
    np.testing.assert_allclose(2 * (V @ B_eig).real, B, rtol=0, atol=n * EPS * np.linalg.norm(B))


@over_matrix
@pytest.mark.parametrize("n", [2, 16, 64])
def test_normal_form_gives_the_kernel_of_the_matrices(basis, n):
    A, B = basis.matrices(n)
    c = np.random.default_rng(0).standard_normal(n)
    Lambda, P, B_eig, V = normal_form(basis, n)
    full_P = np.concatenate([P, P.conj()], axis=1)
    dplr = np.diag(np.concatenate([Lambda, Lambda.conj()])) - full_P.T @ full_P.conj()
    for t in (0.02, 0.5):
        kernel = c @ scipy.linalg.expm(t * A) @ B
        z = scipy.linalg.expm(t * dplr) @ np.concatenate([B_eig, B_eig.conj()])
        # Both systems are contractions, so perturbing tA by N EPS |tA| moves the kernel by that times |c||B|.
        rounding = 8 * n * EPS * max(1.0, np.linalg.norm(t * A, 2)) * np.linalg.norm(c) * np.linalg.norm(B)
        assert abs(2 * ((c @ V) @ z[: n // 2]).real - kernel) <= rounding


@over_matrix
def test_frequencies_ascend_from_zero_and_the_real_part_is_one_number(basis):
    Lambda = normal_form(basis, 64).Lambda
    assert (Lambda.imag >= 0).all() and (np.diff(Lambda.imag) >= 0).all()
    assert np.ptp(Lambda.real) == 0


@over_matrix
def test_normal_part_is_undamped_or_damped_by_one_half(basis):
    c = normal_form(basis, 64).Lambda.real[0]
    assert c == 0 or c == pytest.approx(-0.5, abs=64 * EPS)


@over_matrix
def test_input_is_real_and_non_negative_in_the_eigenbasis(basis):
    B = normal_form(basis, 64).B
    assert np.abs(B.imag).max() <= 64 * EPS * np.linalg.norm(B)
    assert (B.real >= 0).all()


@over_matrix
@pytest.mark.parametrize("n", [8, 16])
def test_required_rank_is_the_rank_of_the_symmetric_part(basis, n):
    A, _ = basis.matrices(n)
    P = basis.low_rank(n)
    c = (np.trace(A) + (P**2).sum()) / n
    assert np.linalg.matrix_rank(A + A.T - 2 * c * np.eye(n), tol=1e-9 * np.linalg.norm(A)) == basis.required_rank
    assert P.shape == (basis.required_rank, n)


def test_the_null_space_of_fout_is_one_pair_of_its_first_two_states():
    V = normal_form(FouT(), 16).V
    np.testing.assert_allclose(V[:, 0], np.eye(16)[0] / np.sqrt(2) + 1j * np.eye(16)[1] / np.sqrt(2), rtol=0, atol=EPS)


@pytest.mark.parametrize("n", [3, 0, -2])
def test_an_odd_or_empty_state_is_refused(n):
    with pytest.raises(UsageError, match=f"state size is {n}"):
        normal_form(LegS(), n)


def test_a_low_rank_that_does_not_make_the_matrix_normal_is_refused():
    @dataclass(frozen=True)
    class RankOneLegT(LegT):
        def low_rank(self, n):
            return super().low_rank(n)[:1]

    with pytest.raises(HarnessError, match="off normal"):
        normal_form(RankOneLegT(), 16)


@pytest.mark.parametrize(("n", "ratio"), [(16, 0.9936), (64, 0.9996), (256, 1.0000)])
def test_the_largest_frequency_of_legs_tends_to_n_squared_over_pi(n, ratio):
    assert normal_form(LegS(), n).Lambda.imag[-1] * np.pi / n**2 == pytest.approx(ratio, abs=5e-5)
