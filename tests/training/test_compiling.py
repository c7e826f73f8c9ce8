"""A compiled block computes what the eager one does, dropout and gradients included, and never runs eagerly instead."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness.bases import BASES
from harness.errors import EnvironmentProblem
from harness.kernels.reference import Reference
from harness.registry import lookup
from harness.ssm.config import S4
from harness.ssm.model import Model
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Batch, Inputs
from harness.training.compiling import compile_blocks
from harness.training.precision import forward

source = torch.Generator().manual_seed(0)
BATCH = Batch(
    torch.randint(5, (6, 9), generator=source),
    torch.randint(3, (6,), generator=source),
    torch.randint(4, 10, (6,), generator=source),
)


def model(**options: Any) -> Model:
    config = S4(d_model=4, d_state=4, n_layers=2, **options)
    return Model(config, lookup("basis", BASES, "legs")(), LogUniform(), Reference(), Inputs("tokens", 5), 3, False, 0)


def step(net: Model, precision: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    scores = forward(net, BATCH, precision)
    nn.functional.cross_entropy(scores, BATCH.y).backward()
    return scores.detach(), {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def compared(precision: Any, eps: float, **options: Any) -> None:
    eager, compiled = model(**options), model(**options)
    compile_blocks(compiled, "cpu")
    scores, gradients = step(eager, precision)
    found, other = step(compiled, precision)
    # Sums over 6 x 9 positions in another order, in each of two blocks there and back, with cancellation of ten.
    band = 4 * 10 * 54 * eps
    torch.testing.assert_close(found, scores, rtol=0, atol=band * float(scores.abs().max().clamp(min=1)))
    assert other.keys() == gradients.keys()
    for name, one in gradients.items():
        torch.testing.assert_close(other[name], one, rtol=0, atol=band * float(one.abs().max()), msg=name)


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        {"norm": "batch", "bidirectional": True, "dropout": 0.3, "tie_dropout": True},
        {"glu": False, "prenorm": False},
        {"dropout": 0.3, "dropout_convolution": 0.2, "residual": False},
    ],
)
def test_a_compiled_model_is_the_eager_one_but_for_rounding(options: dict[str, Any]) -> None:
    compared("float32", torch.finfo(torch.float32).eps, **options)


@pytest.mark.parametrize("name", ["TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE"])
def test_compiling_that_is_turned_off_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(EnvironmentProblem, match=f"{name}=1 turns torch.compile off"):
        compile_blocks(model(), "cpu")


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EnvironmentProblem, match="'no-such-compiler' is not on the path"):
        compile_blocks(model(), "cpu")
