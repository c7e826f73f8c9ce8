"""The layer: one output whether computed by convolution or step by step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from ssm_cases import CASES, small_model

from harness.errors import UsageError
from harness.kernels.auto import Auto
from harness.ssm.layer import Layer, State
from harness.ssm.timescale import LogUniform

L = 40


def layer_of(name: str = "legs", structure: str = "dplr", **options: Any) -> Layer:
    return small_model(name, structure, n_layers=1, **options).layers[0]


def stepped(layer: Layer, u: torch.Tensor, state: State) -> tuple[torch.Tensor, torch.Tensor, State]:
    """Outputs (M, H, L), the largest |x| of each sequence and head, and the last state."""
    outputs, largest = [], torch.zeros(u.shape[:2], dtype=u.dtype)
    for t in range(u.shape[-1]):
        y, state = layer.step(u[..., t], state)
        outputs.append(y)
        largest = torch.maximum(largest, torch.linalg.vector_norm(state.x, dim=-1))
    return torch.stack(outputs, -1), largest, state


@torch.no_grad()
def disagreement(layer: Layer, dtype: torch.dtype) -> float:
    """max |convolution - steps| over what rounding allows in `dtype`.

    Each of L steps rounds x by N eps |x|, and the system contracts, so y = C x is off by at most L N eps |C| |x|; a
    transform of length n rounds by 4 log2(n) eps |u| |K| in norm, and three are used.
    """
    u = torch.randn(2, 4, L, dtype=dtype, generator=torch.Generator().manual_seed(1))
    steps, largest, state = stepped(layer, u, layer.initial_state(2, dtype))
    K = layer.kernel(L, dtype)[0]
    recurrence = L * 8 * torch.linalg.vector_norm(state.C, dim=-1) * largest
    transforms = 12 * math.log2(2 * L) * torch.linalg.vector_norm(u, dim=-1) * torch.linalg.vector_norm(K, dim=-1)
    allowed = torch.finfo(dtype).eps * (recurrence + transforms)
    return float(((layer(u) - steps).abs() / allowed[..., None]).max())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
@pytest.mark.parametrize(("name", "structure"), CASES)
def test_convolution_equals_the_steps(name: str, structure: str, discretization: str, dtype: torch.dtype) -> None:
    assert disagreement(layer_of(name, structure, discretization=discretization), dtype) <= 1


@pytest.mark.parametrize(("name", "structure"), CASES)
def test_chunks_equal_the_steps(name: str, structure: str) -> None:
    # One chunk of 64 steps: its products sum 40 terms in another order than a transform, and no more of them.
    layer = layer_of(name, structure, application="chunked")
    layer.backend = Auto()
    assert disagreement(layer, torch.float64) <= 1


def test_convolution_equals_the_steps_with_a_dt_for_each_state() -> None:
    layer = layer_of("s4d-lin", "diagonal", timescale=LogUniform(per="state"))
    assert disagreement(layer, torch.float64) <= 1


def test_a_step_size_off_by_one_part_in_a_million_is_seen() -> None:
    layer = layer_of()
    honest = layer.initial_state

    def off(M: int, dtype: torch.dtype = torch.float32) -> State:
        state = honest(M, dtype)
        return state._replace(Bbar=state.Bbar * (1 + 1e-6))

    layer.initial_state = off  # type: ignore[method-assign]
    assert disagreement(layer, torch.float64) > 1


@torch.no_grad()
def test_a_sequence_can_be_read_in_two_parts() -> None:
    layer = layer_of("fout")
    u = torch.randn(2, 4, L)
    whole, _, _ = stepped(layer, u, layer.initial_state(2))
    first, _, state = stepped(layer, u[..., :13], layer.initial_state(2))
    rest, _, _ = stepped(layer, u[..., 13:], state)
    assert torch.equal(torch.cat((first, rest), -1), whole)


@pytest.mark.parametrize(("name", "structure"), CASES)
@torch.no_grad()
def test_pieces_and_single_steps_may_follow_each_other(name: str, structure: str) -> None:
    layer = layer_of(name, structure)
    u = torch.randn(2, 4, L, dtype=torch.float64)
    start = layer.initial_state(2, torch.float64)
    whole, largest, last = stepped(layer, u, start)
    first, state = layer.advance(u[..., :13], start)
    second, _, state = stepped(layer, u[..., 13:20], state)
    third, state = layer.advance(u[..., 20:], state)
    # As in `disagreement`: L steps of N roundings of |x| each.
    allowed = L * 8 * torch.finfo(torch.float64).eps * largest
    read = torch.linalg.vector_norm(start.C, dim=-1) * allowed
    assert ((torch.cat((first, second, third), -1) - whole).abs() <= read[..., None]).all()
    assert (torch.linalg.vector_norm(state.x - last.x, dim=-1) <= allowed).all()


def test_a_bidirectional_layer_has_no_steps() -> None:
    with pytest.raises(UsageError, match=r"no recurrent form.*model\.bidirectional = false"):
        layer_of(bidirectional=True).initial_state(1)


@pytest.mark.parametrize("bidirectional", [False, True])
@torch.no_grad()
def test_only_a_bidirectional_layer_reads_the_future(bidirectional: bool) -> None:
    layer = layer_of(bidirectional=bidirectional)
    u = torch.randn(1, 4, L, dtype=torch.float64)
    changed = u.clone()
    changed[..., 30:] += 1
    moved = (layer(changed) - layer(u))[..., :30].abs().max()
    # A transform spreads rounding over the whole sequence: 12 log2(2L) eps |u| |K|, and |u| |K| is below 1e3 here.
    assert bool(moved > 1e-3) is bidirectional
    assert bidirectional or moved < 12 * math.log2(2 * L) * torch.finfo(torch.float64).eps * 1e3


@pytest.mark.parametrize("bidirectional", [False, True])
@torch.no_grad()
def test_what_lies_behind_a_length_counts_as_zero(bidirectional: bool) -> None:
    layer = layer_of(bidirectional=bidirectional)
    u = torch.randn(2, 4, L)
    lengths = torch.tensor([L, 11])
    poisoned = u.clone()
    poisoned[1, :, 11:] = torch.nan
    assert torch.equal(layer(poisoned, lengths), layer(u, lengths))


def test_without_the_skip_there_is_no_feed_through() -> None:
    with_D, without = layer_of(), layer_of(skip=False)
    assert with_D.D is not None and without.D is None
    u = torch.randn(1, 4, L, dtype=torch.float64)
    # One product and one sum of unit-size numbers, in both the layer and here.
    torch.testing.assert_close(with_D(u) - with_D.D[:, None] * u, without(u), rtol=0, atol=1e-13)
