"""What every registered basis keeps to, whoever wrote it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.linalg
from basis_checks import EPS, instances

from harness.bases import BASES
from harness.bases.basis import Basis, DiagonalBasis, MatrixBasis, MixtureBasis
from harness.bases.fout import FouT
from harness.bases.lagt import LagT
from harness.bases.normal import normal_form
from harness.bases.random import Random
from harness.errors import UsageError
from harness.registry import build, choice, lookup, summary

ALL, MATRIX, DIAGONAL = instances(Basis), instances(MatrixBasis), instances(DiagonalBasis)
over_all = pytest.mark.parametrize("name", ALL)
over_matrix = pytest.mark.parametrize("basis", MATRIX.values(), ids=MATRIX)
over_diagonal = pytest.mark.parametrize("basis", DIAGONAL.values(), ids=DIAGONAL)


@over_all
def test_a_basis_is_a_frozen_dataclass_with_a_version_and_a_sentence(name):
    component = lookup("basis", BASES, name)
    assert dataclasses.is_dataclass(component) and component.__dataclass_params__.frozen
    assert isinstance(component.version, int)
    assert summary(component)


@over_all
def test_a_basis_is_rebuilt_from_its_choice(name):
    assert build("basis", BASES, choice(name, ALL[name])) == ALL[name]


@over_all
def test_structures_are_those_of_the_forms_a_basis_has(name):
    basis = ALL[name]
    assert set(basis.structures) <= {"dplr", "dense", "diagonal"}
    for part in basis.parts if isinstance(basis, MixtureBasis) else (basis,):
        assert set(basis.structures) <= set(part.structures)
        assert ("dplr" in part.structures) == isinstance(part, MatrixBasis) == ("dense" in part.structures)
        assert ("diagonal" in part.structures) == isinstance(part, DiagonalBasis)
        assert basis.required_rank >= part.required_rank


@over_matrix
@pytest.mark.parametrize("n", [2, 64])
def test_matrices_are_float64_of_the_promised_shapes(basis, n):
    A, B = basis.matrices(n)
    P = basis.low_rank(n)
    assert (A.shape, B.shape, P.shape) == ((n, n), (n,), (basis.required_rank, n))
    assert A.dtype == B.dtype == P.dtype == np.float64


@over_matrix
def test_no_state_ever_grows(basis):
    A, _ = basis.matrices(64)
    # d|x|^2/dt = x^T (A + A^T) x: no input, no growth, whatever the state.
    assert np.linalg.eigvalsh(A + A.T).max() <= 64 * EPS * np.linalg.norm(A, 2)


@over_diagonal
@pytest.mark.parametrize("n", [2, 64])
def test_spectra_are_stable_and_hold_one_of_each_pair(basis, n):
    Lambda, B = basis.spectrum(n)
    assert Lambda.shape == B.shape == (n // 2,)
    assert Lambda.dtype == B.dtype == np.complex128
    assert (Lambda.real < 0).all() and (Lambda.imag >= 0).all()


@over_diagonal
@pytest.mark.parametrize("n", [3, 0])
def test_an_odd_or_empty_spectrum_is_refused(basis, n):
    with pytest.raises(UsageError, match=f"state size is {n}"):
        basis.spectrum(n)


@over_matrix
def test_an_empty_state_is_refused(basis):
    with pytest.raises(UsageError, match="state size is 0"):
        basis.matrices(0)


@pytest.mark.parametrize("closure", ["hippo", "naive"])
@pytest.mark.parametrize("n", [2, 16, 64])
def test_the_spectrum_of_fout_has_the_kernels_of_its_matrices(closure, n):
    basis = FouT(closure=closure)
    A, B = basis.matrices(n)
    c = np.random.default_rng(0).standard_normal(n)
    Lambda, B_eig, X = basis.diagonal_form(n)
    for t in (0.01, 0.5, 3.0):
        kernel = c @ scipy.linalg.expm(t * A) @ B
        # The eigenbasis, of condition below N, multiplies the rounding EPS (1 + |tA|) of both exponentials.
        rounding = n * EPS * (1 + np.linalg.norm(t * A, 2)) * np.linalg.norm(c) * np.linalg.norm(B)
        assert abs(2 * ((c @ X) @ (B_eig * np.exp(t * Lambda))).real - kernel) <= rounding


@pytest.mark.parametrize("n", [16, 256])
def test_the_control_spans_the_frequencies_of_fout(n):
    # The edge of a semicircle law fluctuates by N^(-2/3) of itself; 3 of those.
    highest = normal_form(Random(), n).Lambda.imag[-1]
    assert highest == pytest.approx(np.pi * n / 2, rel=3 * n ** (-2 / 3))


def test_the_draw_names_the_control():
    first, again, other = (Random(draw=draw).matrices(16)[0] for draw in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


def test_a_negative_draw_is_refused():
    with pytest.raises(UsageError, match="draw is -1"):
        Random(draw=-1)


def test_an_unknown_form_is_refused_by_name():
    with pytest.raises(UsageError, match="Unknown form 'hippo2022'"):
        LagT(form="hippo2022")
