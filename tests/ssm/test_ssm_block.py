"""The block: its formula, and normalisation over true positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ssm_cases import small_model
from torch import nn

from harness.ssm.block import Block
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
