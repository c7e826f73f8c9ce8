"""Micro-batches give the gradient of the whole, and bfloat16 stays out of the state space."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from harness.bases import BASES
from harness.errors import UsageError
from harness.kernels.backend import Backend, Request, StateSpace
from harness.kernels.reference import Reference
from harness.registry import lookup
from harness.ssm.config import S4
from harness.ssm.model import Model
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Batch, Inputs
from harness.training.accumulate import after, backward, split
from harness.training.config import AdamW
from harness.training.precision import forward

source = torch.Generator().manual_seed(0)
BATCH = Batch(
    torch.randint(5, (12, 9), generator=source),
    torch.randint(3, (12,), generator=source),
    torch.randint(4, 10, (12,), generator=source),
)


KERNELS: set[tuple[torch.dtype, bool]] = set()
"""The dtype of every kernel, and whether autocast was on where it was made."""


@dataclass(frozen=True)
class Noting(Reference):
    """The reference, looked at."""

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        made = super().kernel(ssm, request)
        KERNELS.add((made.dtype, torch.is_autocast_enabled("cpu")))
        return made


def model(backend: Backend = Reference(), **options: Any) -> Model:  # noqa: B008
    config = S4(d_model=4, d_state=4, n_layers=2, **options)
    return Model(config, lookup("basis", BASES, "legs")(), LogUniform(), backend, Inputs("tokens", 5), 3, False, 0)


def gradient(parts: int, batch: Batch = BATCH) -> tuple[float, dict[str, torch.Tensor]]:
    net = model()
    value = backward(lambda part: nn.functional.cross_entropy(net(part.x, part.lengths), part.y), batch, parts)
    return float(value), {name: parameter.grad for name, parameter in net.named_parameters()}  # type: ignore[misc]


@pytest.mark.parametrize("parts", [2, 3, 12])
def test_the_gradient_of_micro_batches_is_that_of_the_batch(parts: int) -> None:
    loss, whole = gradient(1)
    value, found = gradient(parts)
    # Float32 sums over 12 x 9 positions in another order: 108 eps of what is summed, which is at most some ten times
    # the largest entry of a gradient, because terms cancel.
    eps = torch.finfo(torch.float32).eps
    assert value == pytest.approx(loss, rel=108 * eps)
    for name, one in whole.items():
        torch.testing.assert_close(found[name], one, rtol=0, atol=1080 * eps * float(one.abs().max()), msg=name)


def test_micro_batches_hold_every_example_once_in_order() -> None:
    parts = list(split(BATCH, 4))
    assert [len(part.y) for part in parts] == [3] * 4
    assert torch.equal(torch.cat([part.x for part in parts]), BATCH.x)


def test_a_batch_that_does_not_divide_weighs_its_examples_alike() -> None:
    short = Batch(BATCH.x[:5], BATCH.y[:5], BATCH.lengths[:5])  # type: ignore[index]
    assert [len(part.y) for part in split(short, 2)] == [3, 2]
    # As above.
    assert gradient(2, short)[0] == pytest.approx(gradient(1, short)[0], rel=108 * torch.finfo(torch.float32).eps)


@pytest.mark.parametrize("options", [{}, {"prenorm": False, "norm": "batch"}, {"glu": False}])
def test_bf16_is_in_linear_layers_and_nowhere_else(options: dict[str, Any]) -> None:
    KERNELS.clear()
    net = model(Noting(), **options)
    seen: dict[str, set[torch.dtype]] = {"Linear": set(), "Layer": set(), "LayerNorm": set(), "BatchNorm1d": set()}
    for module in net.modules():
        if (kind := type(module).__name__) in seen:
            inputs_too = kind != "Linear"
            module.register_forward_hook(
                lambda _, given, made, kind=kind, inputs_too=inputs_too: seen[kind].update(
                    {made.dtype, *({given[0].dtype} if inputs_too else ())}
                )
            )
    made = forward(net, BATCH, "bf16-linear")
    made.sum().backward()
    assert seen["Linear"] == {torch.bfloat16} and made.dtype == torch.float32
    assert seen["Layer"] | seen["LayerNorm"] | seen["BatchNorm1d"] == {torch.float32}
    assert {(torch.float32, False)} == KERNELS
    assert all(p.grad is None or p.grad.dtype == p.dtype for p in net.parameters())


def test_bf16_answers_are_those_of_float32_to_its_own_rounding() -> None:
    net = model()
    with torch.no_grad():
        exact, rounded = forward(net, BATCH, "float32"), forward(net, BATCH, "bf16-linear")
    # Each of six linear layers in a row (encoder aside, an embedding) rounds inputs, weights and output to 2^-9.
    assert float((exact - rounded).abs().max()) < 6 * 3 * 2**-9 * float(exact.abs().max().clamp(min=1))
    assert not torch.equal(exact, rounded)


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "past", "batch_statistics", "taken"),
    [
        (8, 1, [], False, 1),
        (8, 1, ["error", "interrupted"], False, 1),
        (8, 1, ["out_of_memory"], False, 2),
        (8, 2, ["error", "out_of_memory", "interrupted"], False, 4),
        (8, 1, ["out_of_memory"] * 2, False, 4),
        (8, 1, ["out_of_memory"] * 9, False, 8),
        (6, 2, ["out_of_memory"], False, 3),
        (7, 1, ["out_of_memory"], False, 2),
        (7, 1, ["out_of_memory"] * 2, False, 4),
        (5, 1, ["out_of_memory"] * 2, False, 3),
        (5, 1, ["out_of_memory"] * 9, False, 5),
        (1, 1, ["out_of_memory"], False, 1),
        (8, 1, ["out_of_memory"], True, 1),
    ],
)
def test_an_attempt_after_memory_ran_out_takes_half_the_micro_batch_of_the_same_batch(
    batch_size: int, accumulate: int, past: list[str], batch_statistics: bool, taken: int
) -> None:
    recipe = AdamW(batch_size=batch_size, accumulate=accumulate)
    found = after(recipe, [{"status": status} for status in past], batch_statistics)
    assert (found.accumulate, found.batch_size) == (taken, batch_size)


@pytest.mark.parametrize("batch_size", range(1, 40))
def test_every_attempt_takes_a_smaller_micro_batch_until_it_is_one_example(batch_size: int) -> None:
    largest = [batch_size]
    for past in range(1, 8):
        parts = after(AdamW(batch_size=batch_size), [{"status": "out_of_memory"}] * past, False).accumulate
        examples = torch.zeros(batch_size, 1)
        sizes = [len(one.y) for one in split(Batch(examples, examples[:, 0], None), parts)]
        assert sum(sizes) == batch_size and len(sizes) == parts
        largest.append(max(sizes))
    assert largest[-1] == 1
    assert all(one < before or before == 1 for before, one in itertools.pairwise(largest))


@pytest.mark.parametrize(("batch_size", "accumulate", "nearest"), [(9, 4, 3), (4, 8, 4)])
def test_a_number_of_micro_batches_that_a_batch_does_not_make_is_refused(
    batch_size: int, accumulate: int, nearest: int
) -> None:
    assert AdamW(batch_size=9, accumulate=2).accumulate == 2
    with pytest.raises(UsageError, match=f"the nearest below is {nearest}"):
        AdamW(batch_size=batch_size, accumulate=accumulate)
