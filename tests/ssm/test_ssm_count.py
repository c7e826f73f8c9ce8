"""The parameter count in closed form is that of the model, and of the official code's configurations."""

from __future__ import annotations

from typing import Any

import pytest
from ssm_cases import CASES, basis_named, small_model

from harness.presets.preset import load
from harness.ssm.config import S4
from harness.ssm.count import Count, count
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Inputs


def both(name: str, structure: str, timescale: LogUniform, inputs: Inputs, **config: Any) -> tuple[int, Count]:
    shape = {"d_model": 4, "d_state": 8, "n_layers": 2, **config}
    model = small_model(name, structure, timescale=timescale, inputs=inputs, **shape)
    trained = sum(parameter.numel() for parameter in model.parameters())
    return trained, count(S4(structure=structure, **shape), basis_named(name), timescale, inputs, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "structure"), CASES)
def test_the_count_is_that_of_the_model(name: str, structure: str) -> None:
    trained, found = both(name, structure, LogUniform(), Inputs("real", 1))
    assert found.total == trained


@pytest.mark.parametrize(
    "config",
    [
        {"bidirectional": True},
        {"glu": False, "skip": False},
        {"norm": "none"},
        {"norm": "batch", "prenorm": False},
        {"n_ssm": 1, "rank": 3},
        {"train_A": False, "train_dt": False},
        {"train_B": False, "train_C": False},
    ],
)
@pytest.mark.parametrize("inputs", [Inputs("tokens", 7), Inputs("real", 2), Inputs("tokens", 7, towers=2)])
def test_the_count_follows_every_option(config: dict[str, Any], inputs: Inputs) -> None:
    trained, found = both("legs", "dplr", LogUniform(), inputs, **config)
    assert found.total == trained


def test_a_dt_for_each_state_is_counted() -> None:
    trained, found = both("s4d-lin", "diagonal", LogUniform(per="state"), Inputs("real", 1))
    assert found.total == trained


@pytest.mark.parametrize(
    ("task", "millions"),
    [("listops", 0.81), ("text", 0.81), ("retrieval", 0.81), ("image", 3.56), ("pathfinder", 1.29), ("pathx", 1.29)],
)
def test_blocks_and_norms_of_repo_v4_have_the_official_count(task: str, millions: float) -> None:
    config = S4(**load("repo-v4").tasks[task]["model"])
    found = count(config, basis_named("legs"), LogUniform(), Inputs("real", 1), 2)
    assert round(found.blocks / 1e6, 2) == millions
