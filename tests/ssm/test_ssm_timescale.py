"""The timescale: dt is what was asked for, however small, and the windows say what it means."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from harness.errors import UsageError
from harness.ssm.timescale import LogUniform
from harness.ssm.windows import windows

EPS = torch.finfo(torch.float64).eps


@pytest.mark.parametrize("transform", ["exp", "softplus"])
@pytest.mark.parametrize("dt", [1e-6, 1e-5, 1e-4, 1e-3, 1e-1, 1.0])
def test_dt_survives_its_transform_without_a_floor(transform: Any, dt: float) -> None:
    fixed = LogUniform(min=dt, max=dt, transform=transform)
    back = fixed.dt(fixed.initial(torch.tensor([0.3])))
    # p = log dt carries |p| eps of rounding, which exp turns into a relative error; softplus does no worse.
    assert abs(float(back) / dt - 1) <= 4 * (1 + abs(math.log(dt))) * EPS


@pytest.mark.parametrize("transform", ["exp", "softplus"])
def test_dt_is_log_uniform_between_its_ends(transform: Any) -> None:
    scale = LogUniform(min=1e-4, max=1e-1, transform=transform)
    u = torch.linspace(0, 1, 7, dtype=torch.float64)
    expected = torch.logspace(-4, -1, 7, dtype=torch.float64)
    torch.testing.assert_close(scale.dt(scale.initial(u)), expected, rtol=40 * EPS, atol=0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"min": 0.0}, "must be above 0"),
        ({"min": -1.0}, "must be above 0"),
        ({"max": math.inf}, "finite"),
        ({"max": math.nan}, "finite"),
        ({"min": math.nan}, "must be above 0"),
        ({"min": 0.2, "max": 0.1}, "swap them"),
        ({"per": "heads"}, "Did you mean 'head'"),
        ({"transform": "sofplus"}, "Did you mean 'softplus'"),
    ],
)
def test_a_timescale_that_makes_no_sense_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        LogUniform(**options)


def test_windows_are_two_over_dt_in_steps() -> None:
    dt = [torch.tensor([2 / 10, 2 / 20]), torch.tensor([2 / 30, 2 / 40, 2 / 50])]
    found = windows(dt, length=35)
    # The inputs are float32: relative rounding 6e-8.
    assert [found[f"window_q{q}"] for q in ("05", "25", "50", "75", "95")] == pytest.approx([12, 20, 30, 40, 48], 1e-6)
    assert found["window_over_length"] == pytest.approx(2 / 5)


def test_a_window_as_long_as_the_sequence_is_not_over_it() -> None:
    assert windows([torch.tensor([0.125])], length=16)["window_over_length"] == 0


def test_a_floor_raises_what_lies_below_it_and_nothing_else() -> None:
    u = torch.linspace(0, 1, 9, dtype=torch.float64)
    free, floored = (LogUniform(min=1e-6, max=1e-2, transform="softplus", floor=floor) for floor in (None, 1e-4))
    expected = free.dt(free.initial(u)).clamp(min=1e-4)
    # softplus and its inverse, as above.
    torch.testing.assert_close(floored.dt(floored.initial(u)), expected, rtol=40 * EPS, atol=0)
    assert floored.labels and not free.labels and not LogUniform(min=1e-4, floor=1e-4).labels


@pytest.mark.parametrize("floor", [0.0, -1.0, math.inf, math.nan])
def test_a_floor_that_is_none_is_refused(floor: float) -> None:
    with pytest.raises(UsageError, match=r"dt\.floor is .*; it must be above 0 and finite"):
        LogUniform(floor=floor)
