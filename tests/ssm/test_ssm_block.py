"""The block: its formula, and normalisation over true positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ssm_cases import small_model
from torch import nn

from harness.ssm.block import Block
from harness.ssm.dropout import TiedDropout
from harness.ssm.norm import Norm

x = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))


def block_of(**options: Any) -> Block:
    made = small_model(n_layers=1, **options).blocks[0]
    assert isinstance(made, Block)
    return made


@pytest.mark.parametrize("prenorm", [True, False])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "none"])
@pytest.mark.parametrize("glu", [True, False])
@torch.no_grad()
def test_a_block_is_its_formula(prenorm: bool, residual: bool, activation: str, glu: bool) -> None:
    block = block_of(prenorm=prenorm, residual=residual, activation=activation, glu=glu, norm="layer")
    linear = block.mix[0]
    assert isinstance(linear, nn.Linear)

    y = nn.functional.layer_norm(x, (4,)) if prenorm else x
    y = block.layer(y.transpose(1, 2)).transpose(1, 2)
    y = nn.functional.gelu(y) if activation == "gelu" else y
    y = nn.functional.linear(y, linear.weight, linear.bias)
    y = nn.functional.glu(y) if glu else y
    y = x + y if residual else y
    y = y if prenorm else nn.functional.layer_norm(y, (4,))
    assert torch.equal(block(x), y)


def test_batch_statistics_are_those_of_the_true_positions() -> None:
    lengths = torch.tensor([7, 2, 4])
    true = torch.cat([x[row, :length] for row, length in enumerate(lengths)])
    norm = Norm("batch", 4)
    y = norm(x, lengths)
    batch = norm.norm
    assert isinstance(batch, nn.BatchNorm1d) and batch.running_mean is not None and batch.running_var is not None
    # One pass over 13 numbers in float32, in two orders: 13 eps of unit size.
    tolerance = {"rtol": 0, "atol": 13 * torch.finfo(torch.float32).eps}
    torch.testing.assert_close(batch.running_mean, 0.1 * true.mean(0), **tolerance)
    torch.testing.assert_close(batch.running_var, 0.9 + 0.1 * true.var(0), **tolerance)
    assert bool((y[1, 2:] == 0).all()) and bool((y[2, 4:] == 0).all())


def test_no_normalisation_is_the_identity() -> None:
    assert torch.equal(Norm("none", 4)(x), x)


def test_batch_statistics_over_padding_are_those_of_every_position() -> None:
    lengths = torch.tensor([7, 2, 4])
    over = Norm("batch", 4, over_padding=True)
    assert torch.equal(over(x, lengths), Norm("batch", 4)(x))


def test_tied_dropout_drops_a_feature_at_every_position_or_at_none() -> None:
    torch.manual_seed(0)
    drop = TiedDropout(0.5)
    y = drop(torch.ones(200, 5, 40))
    assert torch.equal(y, y[:, :1].expand_as(y)) and set(y.unique().tolist()) == {0.0, 2.0}
    # 8,000 draws: five standard errors of the share that is kept.
    assert abs(float((y[:, 0] > 0).double().mean()) - 0.5) < 5 * (0.5 * 0.5 / 8000) ** 0.5
    assert torch.equal(drop.eval()(x), x)


def test_dropout_after_the_convolution_acts_before_the_activation() -> None:
    block = block_of(dropout_convolution=0.5, norm="none", residual=False)
    plain = block_of(norm="none", residual=False)
    assert torch.equal(block.eval()(x), plain.eval()(x))
    block.dropout_convolution.register_forward_hook(lambda module, given, made: torch.zeros_like(made))
    silent = plain.mix(torch.zeros(1, 1, 4)).expand(3, 7, 4)
    # gelu(0) = 0, so that only the bias of the mixing is left.
    assert torch.equal(block(x), silent)
