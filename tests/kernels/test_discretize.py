"""Discretisation: against definitions, and where naive formulas fail."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from kernel_cases import Shape, leaves, request_for, sample

from harness.kernels.backend import DPLR, Dense, Diagonal, Discretization
from harness.kernels.discretize import SERIES_BELOW, discretize_dense, discretize_diagonal, to_dense
from harness.kernels.reference import recurrence

RULES = get_args(Discretization)
EPS = 2.0**-52


def one_mode(z: complex) -> Diagonal:
    one = torch.ones(1, 1, dtype=torch.complex128)
    return leaves(Diagonal(z * one, one, one[None], torch.ones(1, dtype=torch.float64)))


@pytest.mark.parametrize("rule", RULES)
def test_a_diagonal_system_and_its_real_matrix_form_discretize_alike(rule: Discretization) -> None:
    diagonal = sample(request_for("diagonal", rule, "float64", Shape(60, 3, 4, 2)))
    assert isinstance(diagonal, Diagonal)
    no_rank = diagonal.A.new_zeros(3, 0, 4)
    as_matrix = to_dense(DPLR(diagonal.A, diagonal.B, no_rank, diagonal.C, diagonal.dt))
    expected = recurrence(diagonal, rule, 60)
    # 60 steps, each of 8 products: 60 * 8 roundings at most.
    assert (recurrence(as_matrix, rule, 60) - expected).abs().max() <= 480 * EPS * expected.abs().max()


@pytest.mark.parametrize("rule", RULES)
def test_the_real_form_of_dplr_has_the_kernel_of_the_conjugate_pairs(rule: Discretization) -> None:
    ssm = sample(request_for("dplr", rule, "float64", Shape(30, 2, 3, 2)))
    assert isinstance(ssm, DPLR)
    A, B, P, C = (torch.cat((value, value.conj()), dim=-1).detach() for value in (ssm.A, ssm.B, ssm.P, ssm.C))
    M = (torch.diag_embed(A) - P.mT @ P.conj()) * ssm.dt.detach()[:, None, None]
    one = torch.eye(6, dtype=torch.complex128)
    if rule == "bilinear":
        step = torch.linalg.solve(one - M / 2, one + M / 2)
        state = torch.linalg.solve(one - M / 2, ssm.dt.detach()[:, None] * B)
    else:
        step = torch.linalg.matrix_exp(M)
        state = torch.linalg.solve(M, ((step - one) @ B[..., None]))[..., 0] * ssm.dt.detach()[:, None]
    rows = []
    for _ in range(30):
        rows.append(torch.einsum("khn,hn->kh", C, state))
        state = (step @ state[..., None])[..., 0]
    paired = torch.stack(rows, dim=-1)
    # 30 steps of 6 products, times the condition number of the one linear system solved here.
    tolerance = 180 * EPS * float(torch.linalg.cond(M).max()) * paired.abs().max()
    assert paired.imag.abs().max() <= tolerance
    assert (recurrence(ssm, rule, 30) - paired.real).abs().max() <= tolerance


@pytest.mark.parametrize("rule", RULES)
def test_a_singular_matrix_integrates_its_input(rule: Discretization) -> None:
    dt = torch.tensor([0.25], dtype=torch.float64)
    zero, B = torch.zeros(1, 2, 2, dtype=torch.float64), torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    step = discretize_dense(Dense(zero, B, B[None], dt), rule)
    assert torch.equal(step.A[0], torch.eye(2, dtype=torch.float64))
    assert torch.equal(step.B, dt * B)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("z", [0j, 1e-12j, -1e-9 + 1e-9j, 0.99 * SERIES_BELOW, 1.01j * SERIES_BELOW, -0.5 + 30j])
def test_the_power_and_the_input_of_a_mode_have_finite_correct_gradients(z: complex, rule: Discretization) -> None:
    ssm = one_mode(z)

    def step(A: torch.Tensor, dt: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(discretize_diagonal(Diagonal(A, ssm.B, ssm.C, dt), rule))

    assert torch.autograd.gradcheck(step, (ssm.A, ssm.dt))


@pytest.mark.parametrize(
    "z", [1e-10 - 1e-3j, 0.5 * SERIES_BELOW, 0.999j * SERIES_BELOW, 1.001j * SERIES_BELOW, -3 + 4j]
)
def test_the_hold_of_a_mode_keeps_every_digit(z: complex) -> None:
    x, y = z.real, z.imag
    exp_minus_one = complex(math.expm1(x) * math.cos(y) - 2 * math.sin(y / 2) ** 2, math.exp(x) * math.sin(y))
    held = discretize_diagonal(one_mode(z), "zoh").B.item()
    assert abs(held - exp_minus_one / z) <= 8 * EPS * abs(held)


@pytest.mark.parametrize("z", [1e-14 - 1e-9j, -1e-5 + 0.02j, -0.5 + 3j, -2 + 1e-9j, -1.9999, -5.0, -0.1 + 200j])
def test_the_bilinear_logarithm_rebuilds_the_step(z: complex) -> None:
    step = discretize_diagonal(one_mode(z), "bilinear")
    exact = (1 + z / 2) / (1 - z / 2)
    # exp amplifies the rounding of its argument by the argument's size; near z = -2, 1 + z/2 is exact.
    log = step.log_A.item()
    assert abs(torch.exp(step.log_A).item() - exact) <= 4 * EPS * (1 + abs(log)) * abs(exact)
    assert abs(step.A.item() - exact) <= 8 * EPS * abs(exact)


def test_a_damping_far_below_one_survives_the_bilinear_logarithm() -> None:
    z = -1e-12 + 0.5j
    damping = discretize_diagonal(one_mode(z), "bilinear").log_A.real.item()
    first_order = z.real / (1 + (z.imag / 2) ** 2)
    assert abs(damping - first_order) <= 1e-3 * abs(first_order)
    assert damping < 0


def test_a_step_of_zero_has_a_finite_kernel_and_gradient() -> None:
    from harness.kernels.reference import Reference

    ssm = one_mode(-2.0)
    request = request_for("diagonal", "bilinear", "float64", Shape(5, 1, 1, 1))
    kernel = Reference().kernel(ssm, request)
    # Bbar = 1/2, then Abar = 0: K = 2 Re (1/2, 0, 0, ...), and dK_1/dA = 2 Bbar dAbar/dz = 2 * (1/2) * (1/4).
    assert torch.allclose(kernel[0, 0], torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64), rtol=0, atol=4 * EPS)
    assert abs(torch.autograd.grad(kernel[0, 0, 1], ssm.A)[0].item() - 0.25) <= 16 * EPS


def test_a_timescale_per_state_is_the_per_head_one_where_they_are_equal() -> None:
    ssm = sample(request_for("diagonal", "zoh", "float64", Shape(9, 2, 3, 1)))
    assert isinstance(ssm, Diagonal)
    per_state = Diagonal(ssm.A, ssm.B, ssm.C, ssm.dt[:, None].expand(2, 3))
    assert torch.equal(recurrence(per_state, "zoh", 9), recurrence(ssm, "zoh", 9))
