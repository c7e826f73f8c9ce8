"""A planted fault fails the check that is there for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from basis_checks import check_all_pass, check_definition, check_leakage_falls

from harness.bases.fout import FouT
from harness.bases.lagt import LagT
from harness.bases.legs import LegS
from harness.bases.legt import LegT
from harness.bases.normal import normal_form
from harness.errors import HarnessError


@dataclass(frozen=True)
class WrongSignLegS(LegS):
    def matrices(self, n):
        A, B = super().matrices(n)
        return np.diag(np.diag(A)) - np.tril(A, -1), B


@dataclass(frozen=True)
class TransposedLegS(LegS):
    def matrices(self, n):
        A, B = super().matrices(n)
        return A.T, B


@dataclass(frozen=True)
class WrongSignLegT(LegT):
    def matrices(self, n):
        A, B = super().matrices(n)
        return np.tril(A) - np.triu(A, 1), B


@dataclass(frozen=True)
class TransposedLegT(LegT):
    def matrices(self, n):
        A, B = super().matrices(n)
        return A.T, B


@dataclass(frozen=True)
class WrongSignFouT(FouT):
    def matrices(self, n):
        A, B = super().matrices(n)
        return A.T, B


@dataclass(frozen=True)
class WrongWindowLegT(LegT):
    def matrices(self, n):
        A, B = super().matrices(n)
        return 2 * A, 2 * B


@dataclass(frozen=True)
class TransposedLagT(LagT):
    def matrices(self, n):
        A, B = super().matrices(n)
        return A.T, B


MUTANTS = [
    WrongSignLegS(),
    TransposedLegS(),
    WrongSignLegT(),
    TransposedLegT(),
    WrongSignFouT(),
    WrongWindowLegT(),
    TransposedLagT(),
    FouT(closure="naive"),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: type(mutant).__name__)
def test_a_planted_fault_contradicts_the_definition(mutant):
    with pytest.raises(AssertionError):
        check_definition(mutant, 8)


@pytest.mark.parametrize("mutant", [WrongSignLegS(), WrongSignLegT()], ids=lambda mutant: type(mutant).__name__)
def test_a_wrong_sign_is_refused_where_the_normal_form_is_born(mutant):
    with pytest.raises(HarnessError, match=type(mutant).__name__):
        normal_form(mutant, 8)


def test_the_naive_closure_is_no_all_pass_delay():
    with pytest.raises(AssertionError):
        check_all_pass(FouT(closure="naive"), 32)


def test_the_naive_closure_keeps_its_leakage():
    with pytest.raises(AssertionError):
        check_leakage_falls(FouT(closure="naive"))
