"""Drift is zero at the start, and what was done to a parameter afterwards."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from harness.bases import BASES
from harness.kernels.reference import Reference
from harness.registry import lookup
from harness.ssm.config import S4
from harness.ssm.model import Model
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Inputs
from harness.training.drift import Drift


def model(basis: str, structure: Any, **options: Any) -> Model:
    config = S4(d_model=4, d_state=8, n_layers=2, structure=structure, **options)
    return Model(config, lookup("basis", BASES, basis)(), LogUniform(), Reference(), Inputs("real", 1), 3, False, 0)


PAIRS = [(name, structure) for name in BASES for structure in lookup("basis", BASES, name).structures]


@pytest.mark.parametrize(("basis", "structure"), PAIRS)
def test_nothing_has_moved_at_the_start(basis: str, structure: str) -> None:
    net = model(basis, structure)
    found = Drift(net).metrics(net)
    parts = {"dt", "A"} | ({"P"} if structure == "dplr" else set())
    assert found == {f"{part}_{what}": 0.0 for part in parts for what in ("median", "max")}


def test_drift_is_what_was_done() -> None:
    net = model("s4d-lin", "diagonal")
    drift = Drift(net)
    with torch.no_grad():
        for layer in net.layers:
            layer.ssm.get_parameter("dt").add_(0.3)
        net.layers[0].ssm.get_parameter("A_re").add_(math.log(2))
    found = drift.metrics(net)
    # exp of a sum and a logarithm back: a few float64 roundings of numbers below 10.
    assert found["dt_median"] == pytest.approx(0.3, abs=1e-14) and found["dt_max"] == pytest.approx(0.3, abs=1e-14)
    # Re -1/2 becomes -1; the slowest mode is lambda_0 = -1/2 itself, which moves by as much as it is long.
    assert found["A_max"] == pytest.approx(1.0, abs=1e-14)


def test_frozen_parts_are_not_spoken_of() -> None:
    net = model("legs", "dplr", train_A=False, train_dt=False)
    assert Drift(net).metrics(net) == {}
