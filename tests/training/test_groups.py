"""Optimiser groups: every parameter once, and what is in which."""

from __future__ import annotations

import pytest
import torch

from harness import registry
from harness.bases import BASES
from harness.kernels.reference import Reference
from harness.ssm.config import S4
from harness.ssm.model import Model
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Inputs
from harness.training.config import AdamW
from harness.training.groups import gradient_norms, groups, not_finite, scale_gradients

RECIPE = AdamW(lr=0.01, lr_ssm=0.001, lr_dt=0.0005, weight_decay=0.05)


def model(structure: str = "dplr", basis: str = "legs", **options: object) -> Model:
    config = S4(d_model=4, d_state=4, n_layers=2, structure=structure, **options)  # type: ignore[arg-type]
    made = registry.lookup("basis", BASES, basis)()
    return Model(config, made, LogUniform(), Reference(), Inputs("tokens", 5), 3, False, 0)


def pairs() -> list[tuple[str, str]]:
    return [(name, structure) for name in BASES for structure in registry.lookup("basis", BASES, name).structures]


@pytest.mark.parametrize(("basis", "structure"), pairs())
def test_every_parameter_is_in_exactly_one_group(basis: str, structure: str) -> None:
    net = model(structure, basis)
    grouped = [id(parameter) for group in groups(net, RECIPE) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in net.parameters())


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_each_group_has_the_recipe_s_rate_and_decay(norm: str) -> None:
    found = {group["name"]: (group["lr"], group["weight_decay"]) for group in groups(model(norm=norm), RECIPE)}
    assert found == {
        "A": (0.001, 0),
        "B": (0.001, 0),
        "P": (0.001, 0),
        "dt": (0.0005, 0),
        "plain": (0.01, 0),
        "rest": (0.01, 0.05),
    }


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_only_weights_of_linear_layers_and_C_and_D_are_decayed(norm: str) -> None:
    net = model(norm=norm)
    decayed = {id(p) for group in groups(net, RECIPE) if group["weight_decay"] for p in group["params"]}
    names = {name for name, parameter in net.named_parameters() if id(parameter) in decayed}
    layers = {f"blocks.{i}.{part}" for i in range(2) for part in ("layer.D", "layer.ssm.C", "mix.0.weight")}
    assert names == {"head.weight"} | layers


def test_frozen_parts_have_no_group() -> None:
    net = model(train_A=False, train_B=False, train_dt=False)
    assert [group["name"] for group in groups(net, RECIPE)] == ["plain", "rest"]


def test_gradient_norms_are_those_of_each_group() -> None:
    net = model()
    found = groups(net, RECIPE)
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    sizes = torch.tensor([sum(p.numel() for p in group["params"]) for group in found], dtype=torch.float64)
    # Sums of fours below 2^24 and one square root: two float32 roundings for each of a few dozen parameters.
    torch.testing.assert_close(gradient_norms(found), 2 * sizes.sqrt(), rtol=1e-6, atol=0)


def test_a_parameter_that_is_not_finite_is_found_in_its_group() -> None:
    net = model()
    with torch.no_grad():
        net.ssm_parameters()["dt"][1][0] = float("nan")
    assert not_finite(groups(net, RECIPE)) == ["dt"]


def test_scaling_gradients_brings_their_norm_to_the_limit() -> None:
    net = model()
    found = groups(net, RECIPE)
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    norm = float(torch.linalg.vector_norm(gradient_norms(found)))
    scale_gradients(found, 0.5 / norm)
    # One float32 rounding of the factor and one of each product.
    assert float(torch.linalg.vector_norm(gradient_norms(found))) == pytest.approx(0.5, rel=1e-6)


def test_a_rate_for_C_of_its_own_gives_it_a_group_with_decay() -> None:
    recipe = AdamW(lr=0.01, lr_C=0.001, weight_decay=0.05)
    found = {group["name"]: group for group in groups(model(), recipe)}
    assert (found["C"]["lr"], found["C"]["weight_decay"], len(found["C"]["params"])) == (0.001, 0.05, 2)
    assert sum(len(group["params"]) for group in found.values()) == len(list(model().parameters()))


@pytest.mark.parametrize(
    ("decay", "undecayed"),
    [
        ("weights", {"encoder.weight", "head.bias", "mix.bias", "norm"}),
        ("official", {"mix.bias", "norm"}),
        ("all", set()),
    ],
)
def test_decay_reaches_what_each_code_decays(decay: str, undecayed: set[str]) -> None:
    net = model(norm="batch")
    recipe = AdamW(decay=decay, weight_decay=0.05)  # type: ignore[arg-type]
    kept = {id(p) for group in groups(net, recipe) if group["name"] == "plain" for p in group["params"]}
    names = {name for name, parameter in net.named_parameters() if id(parameter) in kept}
    ends = {name for name in names if name.startswith(("encoder", "head"))}
    inner = {"mix.bias" if "mix" in name else "norm" for name in names - ends}
    assert ends | inner == undecayed
