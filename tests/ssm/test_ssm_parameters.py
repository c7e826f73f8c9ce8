"""The parameters: what the basis said, exactly, for every head; trained or frozen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ssm_cases import CASES, basis_named, small_model

from harness.bases.normal import normal_form
from harness.kernels.backend import DPLR, Dense, Diagonal
from harness.ssm.config import parts
from harness.ssm.layer import Layer
from harness.ssm.real_part import real_part, stored

N = 8


def layer_of(name: str, structure: str, **options: object) -> Layer:
    return small_model(name, structure, n_layers=1, **options).layers[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "structure"), CASES)
def test_the_heads_start_from_what_the_basis_says(name: str, structure: str) -> None:
    ssm = layer_of(name, structure).ssm.state_space()
    dealt = parts(basis_named(name))
    for head in range(4):
        part = dealt[head * len(dealt) // 4]
        if isinstance(ssm, Diagonal):
            A, B = part.spectrum(N)
        elif isinstance(ssm, DPLR):
            A, P, B, _ = normal_form(part, N)
            assert np.array_equal(ssm.P[head, : len(P)].numpy(force=True), P)
        else:
            A, B = part.matrices(N)
        # Re passes through exp(log): two roundings of at most log|Re| eps, below 8 eps of the largest |A|.
        assert np.abs(ssm.A[head].numpy(force=True) - A).max() <= 8 * np.finfo(np.float64).eps * np.abs(A).max()
        assert np.array_equal(ssm.B[head].numpy(force=True), B)


@pytest.mark.parametrize("name", ["legt", "fout", "lagt"])
@pytest.mark.parametrize("d_state", [4, 64])
def test_an_undamped_normal_part_has_a_real_part_of_exactly_zero(name: str, d_state: int) -> None:
    ssm = layer_of(name, "dplr", d_state=d_state).ssm.state_space()
    assert isinstance(ssm, DPLR)
    assert bool((ssm.A.real == 0).all())


def test_an_undamped_mode_can_be_damped_by_training_but_never_made_to_grow() -> None:
    p, damped = stored(torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    p.requires_grad_()
    momentum = torch.optim.SGD([p], lr=0.1, momentum=0.9)

    def pushed(sign: float, steps: int) -> float:
        for _ in range(steps):
            momentum.zero_grad()
            (sign * real_part(p, damped).sum()).backward()
            momentum.step()
            assert bool((real_part(p, damped) <= 0).all())
        return float(real_part(p, damped).detach().max())

    assert pushed(1.0, steps=20) < 0
    assert pushed(-1.0, steps=200) == 0
    assert pushed(1.0, steps=200) < 0


@pytest.mark.parametrize(("push", "passed"), [(-1.0, 0.0), (1.0, 1.0)])
def test_at_zero_only_the_gradient_towards_damping_passes(push: float, passed: float) -> None:
    p, damped = stored(torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    p.requires_grad_()
    (push * real_part(p, damped).sum()).backward()
    assert p.grad is not None and float(p.grad) == passed


def test_a_damped_mode_is_damped_at_every_value_of_its_parameter() -> None:
    p = torch.linspace(-300, 300, 61, dtype=torch.float64)
    assert bool((real_part(p, torch.ones(61, dtype=torch.bool)) < 0).all())


def test_a_positive_real_part_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        stored(torch.full((1, 2), 0.1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))


@pytest.mark.parametrize("frozen", ["A", "B", "C", "dt", "none"])
@pytest.mark.parametrize(("name", "structure"), CASES)
def test_gradients_reach_what_is_trained_and_nothing_that_is_frozen(name: str, structure: str, frozen: str) -> None:
    flags = {f"train_{part}": part != frozen for part in ("A", "B", "C", "dt")}
    layer = layer_of(name, structure, **flags)
    layer(torch.randn(2, 4, 30)).square().sum().backward()
    expected = {"dplr": {"A_re", "A_im", "B", "P", "C", "dt"}, "diagonal": {"A_re", "A_im", "B", "C", "dt"}}
    everything = expected.get(structure, {"A", "B", "C", "dt"})
    held_back = {"A": {"A", "A_re", "A_im", "P"}}.get(frozen, {frozen}) & everything
    trained = dict(layer.ssm.named_parameters())
    assert set(trained) == everything - held_back
    for parameter in trained.values():
        assert (
            parameter.grad is not None and bool((parameter.grad != 0).any()) and bool(parameter.grad.isfinite().all())
        )
    assert held_back <= set(layer.ssm.state_dict())


def test_the_optimiser_can_tell_A_B_P_and_dt_of_all_layers() -> None:
    model = small_model()
    groups = model.ssm_parameters()
    assert {group: len(found) for group, found in groups.items()} == {"A": 4, "B": 2, "P": 2, "dt": 2}
    frozen = small_model(train_A=False, train_B=False, train_dt=False)
    assert not any(frozen.ssm_parameters().values())


def test_a_copy_serves_a_contiguous_block_of_heads() -> None:
    layer = layer_of("legs", "dplr", n_ssm=2)
    with torch.no_grad():
        layer.ssm.A_im[1] += 1  # type: ignore[index,operator]
    ssm = layer.ssm.state_space()
    assert torch.equal(ssm.A[0], ssm.A[1]) and torch.equal(ssm.A[2], ssm.A[3])
    assert torch.allclose(ssm.A[2].imag - ssm.A[0].imag, torch.ones(N // 2, dtype=torch.float64))


@pytest.mark.parametrize("n_ssm", [2, 4])
def test_a_mixture_is_dealt_in_equal_blocks(n_ssm: int) -> None:
    ssm = layer_of("legs+fout", "dense", n_ssm=n_ssm).ssm.state_space()
    assert isinstance(ssm, Dense)
    legs, fout = (part.matrices(N)[0] for part in parts(basis_named("legs+fout")))
    assert [np.array_equal(A, legs) for A in ssm.A.numpy(force=True)] == [True, True, False, False]
    assert [np.array_equal(A, fout) for A in ssm.A.numpy(force=True)] == [False, False, True, True]


def test_a_rank_beyond_the_bases_need_is_zero_and_changes_no_kernel() -> None:
    plain, padded = layer_of("legs", "dplr"), layer_of("legs", "dplr", rank=3)
    ssm = padded.ssm.state_space()
    assert isinstance(ssm, DPLR)
    assert ssm.P.shape == (4, 3, N // 2) and bool((ssm.P[:, 1:] == 0).all())
    assert torch.equal(plain.kernel(20), padded.kernel(20))


@pytest.mark.parametrize("structure", ["dplr", "diagonal"])
def test_C_has_unit_mean_square(structure: str) -> None:
    name = "legs" if structure == "dplr" else "s4d-lin"
    C = layer_of(name, structure, d_model=64, d_state=64).ssm.state_space().C
    # |C|^2 is exponential of mean 1 and variance 1: five standard errors.
    assert abs(float(C.detach().abs().square().mean()) - 1) < 5 / math.sqrt(C.numel())


@pytest.mark.parametrize("name", ["legs", "legt", "fout"])
def test_dense_and_dplr_start_with_kernels_of_the_same_size(name: str) -> None:
    sizes = []
    for structure in ("dplr", "dense"):
        layer = layer_of(name, structure, d_model=256)
        sizes.append(layer.kernel(64, torch.float64).detach().square().sum(-1).mean())
    # Each mean over 256 heads of |K|^2, a quadratic form in Gaussian C, varies by at most sqrt(2/256); five of the two.
    assert abs(float(sizes[0] / sizes[1]) - 1) < 5 * math.sqrt(2 * 2 / 256)


@pytest.mark.parametrize(("name", "real"), [("legs", -0.5), ("fout", -1e-3), ("legt", -1e-3)])
def test_a_floor_damps_the_undamped_bases_and_no_other(name: str, real: float) -> None:
    ssm = layer_of(name, "dplr", real_floor=1e-3).ssm.state_space()
    # Re passes through exp(log), as above; |log 1e-3| is 7.
    assert ssm.A.real.numpy(force=True) == pytest.approx(real, rel=16 * np.finfo(np.float64).eps * N)
