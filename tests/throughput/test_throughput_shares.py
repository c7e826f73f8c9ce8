"""A profile finds the part that is slow, forward and backward, and its shares sum to 1."""

from __future__ import annotations

import time
from typing import Any

import pytest
import throughput_fakes as fakes
import torch
from torch import nn

from harness.kernels.parts import PREFIX, marking, part
from harness.throughput.shares import shares

NAP_S = 0.02


class Napping(torch.autograd.Function):
    """x, after a nap forward and three backward."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        time.sleep(NAP_S)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        time.sleep(3 * NAP_S)
        return gradient


class Toy(nn.Module):
    """A linear layer, and a part that naps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        with part("convolution"):
            with part("kernel"):
                x = Napping.apply(x)
            x = 2 * x
        return self.second(x)


def test_the_slow_part_of_a_toy_has_the_time_and_shares_sum_to_one() -> None:
    model, x = Toy(), torch.randn(4, 8)
    model(x).sum().backward()
    seconds, found = shares(lambda: model(x).sum().backward(), model, "cpu")
    assert sum(found.values()) == pytest.approx(1, abs=1e-9)
    # Beside its four naps the step takes at most a tenth of one; a loaded machine can make a nap longer, never shorter.
    assert found["forward", "kernel"] * seconds >= NAP_S
    assert found["backward", "kernel"] * seconds >= 3 * NAP_S
    assert found["forward", "kernel"] + found["backward", "kernel"] > 0.8
    assert found["backward", "linear"] > 0 and found["backward", "convolution"] > 0


def test_nothing_is_marked_outside_of_a_profile() -> None:
    with torch.profiler.profile() as profiler, part("kernel"):
        torch.ones(1)
    assert not [event for event in profiler.events() if event.name.startswith(PREFIX)]
    with torch.profiler.profile() as profiler, marking(), part("kernel"):
        torch.ones(1)
    assert [event.name for event in profiler.events() if event.name.startswith(PREFIX)] == [f"{PREFIX}kernel"]


TINY = {"what": "recipe", "basis": "legs", "structure": "dplr", "heads": 4, "batch": 4, "length": 16, "repeats": 1}
TINY |= {"architecture": {"n_layers": 1}}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "repo-v4", "task": "image"},
        {"task": "retrieval", "accumulate": 2, "precision": "bf16-linear"},
        {"preset": "s4-v1", "task": "pathfinder"},
    ],
    ids=["tokens", "pixels, dropout", "pairs, accumulated", "a bias before batch normalisation"],
)
def test_a_recipe_is_gated_timed_and_profiled(options: dict[str, Any]) -> None:
    rows = fakes.measured("auto + auto", **TINY, **options)
    assert fakes.gates(rows, "auto + auto")[0]["passed"]
    assert fakes.backends_timed(rows) == {"auto + auto", "auto + auto#2"}
    found = {row["name"].partition("/")[2]: row["value"] for row in rows if row.get("split") == "parts"}
    marked = ("kernel", "convolution", "linear", "elementwise")
    assert {f"{one}_share/{part}" for one in ("forward", "backward") for part in marked} <= set(found)
    assert {f"forward_share/{part}" for part in ("loss", "optimiser", "data", "other")} <= set(found)
    assert sum(found.values()) == pytest.approx(1, abs=1e-6)
