"""FouT's frozen DPLR form by its eigenvectors: the same kernel, gradients for B, C and dt, and a refusal elsewhere."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from kernel_cases import leaves

from harness.bases import BASES
from harness.bases.normal import normal_form
from harness.errors import Unsupported
from harness.kernels.backend import DPLR, Request
from harness.kernels.discretize import to_dense
from harness.kernels.eigen import diagonal_form
from harness.kernels.reference import recurrence
from harness.kernels.two_level import TwoLevel
from harness.registry import lookup

TIMESCALES = torch.tensor([1e-3, 1e-2, 1e-1], dtype=torch.float64)


def frozen(basis: str, N: int) -> DPLR:
    """Three heads of the basis; B, C and dt are leaves, A and P are not trained."""
    form = normal_form(lookup("basis", BASES, basis)(), N)
    A, B, P = (torch.from_numpy(part).expand(3, *part.shape) for part in (form.Lambda, form.B, form.P))
    C = torch.randn(1, 3, N // 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    ssm = leaves(DPLR(A, B, P, C, TIMESCALES))
    return dataclasses.replace(ssm, A=ssm.A.detach(), P=ssm.P.detach())


def judged(ssm: DPLR, kernel: torch.Tensor) -> list[torch.Tensor]:
    """The kernel by heads, and the gradients of B, C and dt for a fixed random functional of it."""
    weights = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    B, C, dt = torch.autograd.grad((kernel * weights).sum(), (ssm.B, ssm.C, ssm.dt))
    return [kernel.detach()[0], B, C[0], dt[:, None]]


def worst(found: list[torch.Tensor], true: list[torch.Tensor]) -> float:
    """The largest relative error of any head in any result, in the 2-norm."""
    pairs = zip(found, true, strict=True)
    return max(float(((one - other).norm(dim=-1) / other.norm(dim=-1)).max()) for one, other in pairs)


@pytest.mark.parametrize(("N", "dtype", "allowed"), [(64, "float32", 2.5e-6), (8, "float64", 1e-11)])
def test_fout_by_its_eigenvectors_keeps_its_budget_at_length_16384(N: int, dtype: str, allowed: float) -> None:
    ssm = frozen("fout", N)
    request = Request("dplr", "bilinear", 3, N, 16384, 1, dtype=dtype, diagonalisable=True)  # type: ignore[arg-type]
    true = judged(ssm, recurrence(ssm, "bilinear", 16384))
    assert worst(judged(ssm, TwoLevel().kernel(ssm, request)), true) <= allowed


def test_the_dead_state_is_kept_so_that_a_trained_b_may_wake_it() -> None:
    ssm = frozen("fout", 8)
    woken = leaves(dataclasses.replace(ssm, B=ssm.B.detach() + 1j))
    woken = dataclasses.replace(woken, A=ssm.A, P=ssm.P)
    exact = recurrence(woken, "bilinear", 200)
    request = Request("dplr", "bilinear", 3, 8, 200, 1, dtype="float64", diagonalisable=True)
    # 200 steps and the condition of the eigenvectors, 15 at N = 8.
    assert worst(judged(woken, TwoLevel().kernel(woken, request)), judged(woken, exact)) <= 200 * 15 * 2.0**-52


@pytest.mark.parametrize(
    ("basis", "N", "condition"), [("fout", 64, 41), ("fout", 256, 138), ("legs", 32, 1e13), ("legt", 32, 1e13)]
)
def test_the_conditions_that_the_file_states(basis: str, N: int, condition: float) -> None:
    """Those of LegS and LegT are near the inverse of rounding, so that only a bound means anything."""
    ssm = frozen(basis, N)
    one = dataclasses.replace(ssm, A=ssm.A[:1], B=ssm.B[:1], P=ssm.P[:1], C=ssm.C[:, :1], dt=ssm.dt[:1])
    found = float(torch.linalg.cond(torch.linalg.eig(to_dense(one).A[0].detach())[1]))
    assert abs(found - condition) < 0.5 if basis == "fout" else found > condition


@pytest.mark.parametrize("basis", ["legs", "legt"])
def test_ill_conditioned_eigenvectors_are_refused(basis: str) -> None:
    with pytest.raises(Unsupported, match="eigenvectors"):
        diagonal_form(frozen(basis, 32))


def test_a_trained_a_is_refused() -> None:
    ssm = frozen("fout", 8)
    with pytest.raises(Unsupported, match="train_A"):
        diagonal_form(dataclasses.replace(ssm, A=ssm.A.clone().requires_grad_()))


def test_heads_of_different_windows_have_their_own_eigenvectors() -> None:
    ssm = frozen("fout", 8)
    scale = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)[:, None]
    mixed = dataclasses.replace(ssm, A=ssm.A * scale, P=ssm.P * scale[..., None].sqrt())
    request = Request("dplr", "bilinear", 3, 8, 300, 1, dtype="float64", diagonalisable=True)
    exact = recurrence(mixed, "bilinear", 300)
    assert worst(judged(mixed, TwoLevel().kernel(mixed, request)), judged(mixed, exact)) <= 300 * 15 * 2.0**-52
