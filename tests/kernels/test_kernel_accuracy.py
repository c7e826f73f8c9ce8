"""The stated error budgets of the fast backends, at the lengths and modes where naive arithmetic loses digits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernel_cases import head_errors, leaves, results

from harness.bases import BASES
from harness.bases.normal import normal_form
from harness.kernels.backend import DPLR, Dense, Diagonal, Request
from harness.kernels.krylov import Krylov
from harness.kernels.reference import Reference, recurrence
from harness.kernels.two_level import TwoLevel
from harness.kernels.vandermonde import powers
from harness.registry import lookup

CONTRACTIONS = ("legs", "legt", "fout")
TIMESCALES = torch.tensor([1e-3, 1e-2, 1e-1], dtype=torch.float64)


def modes(damping: float, n: int) -> Diagonal:
    """Frequencies pi k as in S4D-Lin, all with the same damping."""
    draw = torch.Generator().manual_seed(0)
    A = torch.complex(
        torch.full((3, n), -damping, dtype=torch.float64), torch.pi * torch.arange(n).double().expand(3, n)
    )
    C = torch.randn(1, 3, n, dtype=torch.complex128, generator=draw)
    return leaves(Diagonal(A, torch.ones_like(A), C, TIMESCALES))


def dense(basis: str, n: int) -> Dense:
    A, B = (torch.from_numpy(part) for part in lookup("basis", BASES, basis)().matrices(n))
    C = torch.randn(1, 3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return leaves(Dense(A.expand(3, n, n), B.expand(3, n), C, TIMESCALES))


def family(basis: str, n: int) -> Diagonal:
    """Three heads of a diagonal basis, with n pairs."""
    A, B = (torch.from_numpy(part).expand(3, n) for part in lookup("basis", BASES, basis)().spectrum(2 * n))
    C = torch.randn(1, 3, n, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    return leaves(Diagonal(A, B, C, TIMESCALES))


@pytest.mark.parametrize("basis", ["s4d-lin", "s4d-inv", "s4d-legs", "s4d-real", 0.0, 1e-4])
def test_two_level_keeps_5e_7_at_length_16384_gradients_too(basis: str | float) -> None:
    """A number is the damping of frequencies pi k, 0 that of undamped ones."""
    request = Request("diagonal", "zoh", 3, 64, 16384)
    ssm = family(basis, 32) if isinstance(basis, str) else modes(basis, 32)
    truth = results(ssm, Reference().kernel(ssm, dataclasses.replace(request, dtype="float64")))
    errors = head_errors(results(ssm, TwoLevel().kernel(ssm, request)), truth, ssm)
    assert max(errors.values()) <= 5e-7, errors


def test_the_float64_sum_is_the_recurrence_at_length_16384() -> None:
    ssm = modes(0.0, 8)
    closed = Reference().kernel(ssm, Request("diagonal", "zoh", 3, 16, 16384, dtype="float64"))
    stepped = recurrence(ssm, "zoh", 16384)
    # |Abar| = 1: L steps of one complex product round at most 3 L times, and the phase l Im x once.
    assert (closed - stepped).abs().max() <= 3 * 16384 * 2.0**-53 * stepped.abs().max()


def test_naive_float32_loses_the_phase_that_two_level_keeps() -> None:
    request = Request("diagonal", "zoh", 3, 32, 16384)
    ssm = modes(0.0, 16)
    truth = Reference().kernel(ssm, dataclasses.replace(request, dtype="float64"))
    naive, ours = ((backend.kernel(ssm, request) - truth).norm() for backend in (Reference(), TwoLevel()))
    assert naive > 100 * ours


def dplr(basis: str, n: int) -> DPLR:
    form = normal_form(lookup("basis", BASES, basis)(), n)
    A, B, P = (torch.from_numpy(part).expand(3, *part.shape) for part in (form.Lambda, form.B, form.P))
    C = torch.randn(1, 3, n // 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    return leaves(DPLR(A, B, P, C, TIMESCALES))


@pytest.mark.parametrize("basis", CONTRACTIONS)
@pytest.mark.parametrize("make", [dplr, dense])
def test_krylov_keeps_its_budget_at_length_16384_gradients_too(make: Callable[[str, int], Any], basis: str) -> None:
    ssm = make(basis, 64)
    request = Request(make.__name__, "bilinear", 3, 64, 16384, rank=2)  # type: ignore[arg-type]
    truth = results(ssm, recurrence(ssm, "bilinear", 16384))
    exact = head_errors(results(ssm, Krylov().kernel(ssm, request)), truth, ssm)
    quick = head_errors(results(ssm, Krylov(squarings="float32").kernel(ssm, request)), truth, ssm)
    # The order of sums is the processor's: the gradient of A came to 1.10e-6 with AVX2, to less than 1e-6 with AVX-512.
    assert exact["kernel"] <= 1e-6 and max(exact.values()) <= 1.25e-6, exact
    assert max(quick.values()) <= 2e-5, quick
    assert exact["kernel"] < quick["kernel"]


@pytest.mark.parametrize("basis", CONTRACTIONS)
def test_the_dplr_form_of_a_basis_has_the_kernel_of_its_dense_form(basis: str) -> None:
    n = 16
    Lambda, P, B, V = (torch.from_numpy(part) for part in normal_form(lookup("basis", BASES, basis)(), n)[:4])
    ssm = dense(basis, n)
    C = ssm.C.to(torch.complex128) @ V
    paired = DPLR(*(part.expand(3, *part.shape) for part in (Lambda, B, P)), C, TIMESCALES)
    request = Request("dplr", "bilinear", 3, n, 500, rank=P.shape[0], dtype="float64")
    expected = recurrence(ssm, "bilinear", 500)
    error = (Krylov().kernel(paired, request) - expected).abs().max() / expected.abs().max()
    # Both are float64; the change of basis is unitary and A has entries up to n^2, each rounded once per step.
    assert error <= 500 * n * 2.0**-52


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_table_entry_is_subnormal(dtype: torch.dtype) -> None:
    x = torch.complex(-torch.logspace(-6, 3, 40, dtype=torch.float64), torch.ones(40, dtype=torch.float64))[None]
    for stride in (1, 128):
        size = torch.view_as_real(powers(x, stride, 128, dtype)).abs().flatten(-2).reshape(-1, 2).norm(dim=1)
        assert ((size == 0) | (size >= torch.finfo(dtype).tiny ** 0.5 * 0.99)).all()
