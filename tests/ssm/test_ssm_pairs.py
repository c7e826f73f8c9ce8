"""Pairs of sequences: one encoder, two towers."""

from __future__ import annotations

import pytest
import torch
from ssm_cases import small_model

from harness.ssm.model import Model
from harness.tasks.task import Inputs

LENGTHS = torch.tensor([[12, 5], [9, 12], [3, 1]])
ROUNDING = 1e-12
"""Transforms of two lengths differ by 12 log2(42) eps = 1.4e-14; two layers, norms and the head amplify 50-fold."""


def paired(**config: object) -> Model:
    return small_model(inputs=Inputs("tokens", 7, towers=2), **config).double().eval()  # type: ignore[arg-type]


def pairs(width: int = 12, fill: int = 0) -> torch.Tensor:
    """Three pairs of LENGTHS (3, 2, width), with `fill` behind them."""
    values = torch.randint(1, 7, (3, 2, 12), generator=torch.Generator().manual_seed(0))
    x = torch.full((3, 2, width), fill)
    x[..., :12] = values
    return x.masked_fill(torch.arange(width) >= LENGTHS[..., None], fill)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_pair_is_compared_by_the_formula_of_its_towers(norm: str) -> None:
    model, single = paired(norm=norm), small_model(inputs=Inputs("tokens", 7), norm=norm).double().eval()
    single.head = torch.nn.Identity()  # type: ignore[assignment]
    a, b = (single(pairs()[:, tower], LENGTHS[:, tower]) for tower in (0, 1))
    first, _, second = model.head.mix  # type: ignore[union-attr, misc]
    joined = torch.cat([a, b, a - b, a * b], dim=1)
    expected = torch.nn.functional.gelu(joined @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(model(pairs(), LENGTHS), expected, rtol=0, atol=ROUNDING)


def test_the_towers_share_all_their_weights_and_draws_with_a_model_of_one() -> None:
    two, one = paired().state_dict(), small_model(inputs=Inputs("tokens", 7)).double().state_dict()
    assert {name for name in two.keys() ^ one.keys() if not name.startswith("head.")} == set()
    assert all(torch.equal(two[name], one[name]) for name in one if not name.startswith("head."))


def test_what_is_behind_the_lengths_changes_nothing() -> None:
    model = paired(bidirectional=True)
    torch.testing.assert_close(model(pairs(40, 5), LENGTHS), model(pairs(), LENGTHS), rtol=0, atol=ROUNDING)


def test_pairs_of_real_sequences_need_no_lengths() -> None:
    model = small_model(inputs=Inputs("real", 2, towers=2)).double().eval()
    x = torch.randn(3, 2, 8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=0, atol=ROUNDING)
    assert model(x).shape == (3, 3)


def test_both_towers_have_a_gradient() -> None:
    model = small_model(inputs=Inputs("real", 1, towers=2)).double()
    x = torch.randn(3, 2, 8, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    model(x).square().sum().backward()
    assert x.grad is not None and (x.grad.abs().amax(dim=(2, 3)) > 0).all()
