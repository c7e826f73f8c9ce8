"""The learning rate's factor and the evenly spaced looks."""

from __future__ import annotations

import pytest
import torch

from harness.errors import UsageError
from harness.training.config import AdamW
from harness.training.schedule import Plateau, multiplier, spaced


def test_warm_up_is_linear_from_zero_to_one() -> None:
    recipe = AdamW(steps=100, warmup_steps=10)
    assert [multiplier(s, recipe) for s in (0, 1, 5, 10)] == [0, 0.1, 0.5, 1]


def test_cosine_is_one_half_midway_and_would_be_zero_after_the_last_step() -> None:
    recipe = AdamW(steps=110, warmup_steps=10)
    # cos(pi/2) is rounded to 6e-17.
    assert multiplier(60, recipe) == pytest.approx(0.5, abs=1e-15)
    assert multiplier(110, recipe) == 0
    assert 0 < multiplier(109, recipe) < 1e-3


def test_constant_stays_at_one_after_the_warm_up() -> None:
    recipe = AdamW(steps=100, warmup_steps=10, schedule="constant")
    assert {multiplier(s, recipe) for s in range(10, 100)} == {1.0}


@pytest.mark.parametrize(("steps", "count"), [(1, 1), (7, 3), (1000, 10), (1001, 50), (3, 50)])
def test_looks_are_evenly_spaced_and_end_at_the_last_step(steps: int, count: int) -> None:
    found = spaced(steps, count)
    gaps = [b - a for a, b in zip((0, *found), found, strict=False)]
    assert found[-1] == steps and len(found) == min(steps, count) and max(gaps) - min(gaps) <= 1


def test_defaults_are_written_out() -> None:
    recipe = AdamW(steps=5, batch_size=7, lr_ssm=0.002, evaluations=10)
    assert (recipe.lr_dt, recipe.eval_batch_size, recipe.evaluations) == (0.002, 7, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("eval_batch_size", 0),
        ("evaluations", 0),
        ("lr", -1e-3),
        ("lr_dt", float("nan")),
        ("weight_decay", float("inf")),
        ("warmup_steps", 1000),
        ("clip_grad_norm", 0.0),
        ("schedule_steps", 999),
        ("schedule_steps", 2001),
        ("plateau_factor", 1.0),
        ("plateau_patience", -1),
        ("accumulate", 0),
        ("accumulate", 33),
        ("lr_C", -1.0),
    ],
)
def test_an_impossible_value_is_named(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"^training\.{name} is .*; it must .*\.$"):
        AdamW(**{name: value})  # type: ignore[arg-type]


def test_a_cosine_may_end_after_the_training() -> None:
    recipe = AdamW(steps=80, schedule_steps=100)
    # cos(4 pi / 5) in float64, one rounding of the argument.
    assert multiplier(80, recipe) == pytest.approx((1 - 0.8090169943749475) / 2, abs=1e-15)


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("patience", [0, 2])
def test_the_plateau_is_torch_s(higher: bool, patience: int) -> None:
    scores = [0.5, 0.6, 0.60001, 0.6, 0.7, 0.7, 0.7, 0.7, 0.69, 0.9, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.29, 0.2]
    recipe = AdamW(schedule="plateau", plateau_patience=patience, plateau_factor=0.2)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    mode = "max" if higher else "min"
    official = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, mode, factor=0.2, patience=patience, eps=0)  # type: ignore[arg-type]
    ours = Plateau()
    for score in scores:
        ours.see(score, higher, recipe)
        official.step(score)
        assert ours.scale == optimiser.param_groups[0]["lr"]
    assert ours.scale < 1
