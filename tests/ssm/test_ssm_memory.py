"""The least memory of a training is never more than what autograd really keeps, and not far below it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ssm_cases import small_model

from harness.ssm.config import S4
from harness.ssm.memory import least_bytes
from harness.tasks.task import Inputs

M, L, H = 16, 128, 32
"""Large enough that the activations outweigh the kernels, which the closed form leaves out."""


def kept_bytes(**config: Any) -> int:
    """Bytes of the distinct storages that a forward pass saves for the backward pass, without the parameters."""
    model = small_model(inputs=Inputs("real", 1), d_model=H, **config)
    own = {one.untyped_storage().data_ptr() for one in model.parameters()}
    found: dict[int, int] = {}
    alive = []

    def keep(one: torch.Tensor) -> torch.Tensor:
        alive.append(one)  # An address that was freed would be counted as another tensor's.
        found[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
        return one

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one):
        out = model(torch.randn(M, L, 1))
    assert out.requires_grad
    return sum(size for address, size in found.items() if address not in own)


@pytest.mark.parametrize(
    "config",
    [{}, {"glu": False}, {"activation": "none"}, {"norm": "none"}, {"norm": "batch", "prenorm": False}],
    ids=str,
)
def test_the_least_is_a_bound_and_no_idle_one(config: dict[str, Any]) -> None:
    least = least_bytes(S4(d_model=H, d_state=8, n_layers=2, **config), 0, M, L)
    # Transposed copies, masks and kernels come on top; a bound four times too low would warn of nothing.
    assert least <= kept_bytes(**config) <= 4 * least
