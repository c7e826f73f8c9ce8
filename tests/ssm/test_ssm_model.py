"""The deep model: shapes, counts, shared randomness, and indifference to padding."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from ssm_cases import FIRST, small_model

from harness.bases import BASES
from harness.ssm.model import Model
from harness.ssm.pooling import pool
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Inputs

BASIS_OWN = ("A", "A_re", "A_im", "B", "P", "damped")
NORMS_AND_POOLS = list(itertools.product(["batch", "layer", "none"], [True, False], ["mean", "last"], [True, False]))
LENGTHS = torch.tensor([12, 5, 9])
ROUNDING = 1e-12
"""Transforms of two lengths differ by 12 log2(42) eps = 1.4e-14; two layers, norms and the head amplify 50-fold."""


def shared(model: Model) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if name.rpartition(".")[2] not in BASIS_OWN}


@pytest.mark.parametrize(("name", "structure"), FIRST)
def test_arms_of_one_seed_share_all_but_what_the_basis_sets(name: str, structure: str) -> None:
    model, other = small_model(name, structure, seed=3), small_model("legs", "dplr", seed=3)
    mine, theirs = shared(model), shared(other)
    assert mine.keys() == theirs.keys() and any("ssm.C" in key for key in mine) and any("ssm.dt" in key for key in mine)
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_every_registered_basis_is_compared() -> None:
    assert {name for name, _ in FIRST} == set(BASES)


def test_another_seed_shares_nothing_that_is_drawn() -> None:
    one, two = shared(small_model(seed=0)), shared(small_model(seed=1))
    drawn = [key for key in one if "norm" not in key]
    assert drawn and not any(torch.equal(one[key], two[key]) for key in drawn)


def test_arms_of_other_dt_ranges_share_the_uniforms_behind_dt() -> None:
    def uniforms(low: float, high: float) -> torch.Tensor:
        model = small_model(timescale=LogUniform(min=low, max=high))
        span = torch.log(torch.tensor(high / low, dtype=torch.float64))
        return torch.log(torch.cat(model.step_sizes()) / low) / span

    # log dt carries |log dt| eps of rounding, below 1e-14, and the narrower range divides it by 2.3.
    torch.testing.assert_close(uniforms(1e-3, 1e-1), uniforms(1e-4, 1e-3), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ({"glu": False}, "mix"),
        ({"skip": False}, "layer.D"),
        ({"d_state": 16}, "ssm.C"),
        ({"bidirectional": True}, "ssm.C"),
        ({"n_layers": 1}, "blocks.1"),
        ({"norm": "batch"}, "norm"),
        ({"n_ssm": 2}, "norm"),
    ],
)
def test_a_change_of_one_part_leaves_the_draws_of_the_others(change: dict[str, Any], touched: str) -> None:
    plain, changed = shared(small_model()), shared(small_model(**change))
    same = [key for key in plain.keys() & changed.keys() if touched not in key]
    assert len(same) >= 6
    assert all(torch.equal(plain[key], changed[key]) for key in same)


def test_building_a_model_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    small_model(inputs=Inputs("tokens", 5))
    assert torch.equal(torch.get_rng_state(), before)


def count(config: dict[str, Any], structure: str, rank: int, inputs: Inputs) -> int:
    H, N, S, K, layers = config["d_model"], config["d_state"], config["n_ssm"], config["channels"], 2
    encoder = inputs.size * H + (H if inputs.kind == "real" else 0)
    states = S * (N * N + N if structure == "dense" else N + N + rank * N)
    mixing = (2 if config["glu"] else 1) * (H * H + H)
    block = states + K * H * N + H + H + mixing + 2 * H
    return encoder + layers * block + 2 * H + (H * 3 + 3)


@pytest.mark.parametrize(
    ("name", "structure", "rank"),
    [("legs", "dplr", 1), ("legt", "dplr", 2), ("s4d-lin", "diagonal", 0), ("legs", "dense", 0)],
)
@pytest.mark.parametrize("glu", [True, False])
@pytest.mark.parametrize("inputs", [Inputs("real", 2), Inputs("tokens", 17)])
def test_the_number_of_parameters_is_the_formula(
    name: str, structure: str, rank: int, glu: bool, inputs: Inputs
) -> None:
    config = {"d_model": 6, "d_state": 8, "n_ssm": 3, "glu": glu}
    model = small_model(name, structure, inputs=inputs, bidirectional=glu, **config)
    found = sum(parameter.numel() for parameter in model.parameters())
    assert found == count({**config, "channels": 2 if glu else 1}, structure, rank, inputs)


def batch(L: int, fill: float) -> torch.Tensor:
    """Three sequences of LENGTHS, the same for every L, with `fill` behind them."""
    x = torch.full((3, L, 1), fill, dtype=torch.float64)
    values = torch.randn(3, 12, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for row, length in enumerate(LENGTHS):
        x[row, :length] = values[row, :length]
    return x


def padded_case(norm: str, prenorm: bool, how: str, bidirectional: bool, per_step: bool = False) -> Model:
    return small_model(norm=norm, prenorm=prenorm, pool=how, bidirectional=bidirectional, per_step=per_step).double()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("norm", "prenorm", "how", "bidirectional"), NORMS_AND_POOLS)
def test_padding_changes_neither_results_nor_gradients_nor_statistics(
    norm: str, prenorm: bool, how: str, bidirectional: bool, train: bool
) -> None:
    seen = []
    for L, fill in ((12, 0.0), (12, float("nan")), (21, 7.0)):
        model = padded_case(norm, prenorm, how, bidirectional).train(train)
        y = model(batch(L, fill), LENGTHS)
        y.square().sum().backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        seen.append([y.detach(), *gradients, *(value for name, value in model.named_buffers() if "running" in name)])
    assert all(torch.equal(a, b) for a, b in zip(seen[0], seen[1], strict=True))
    for a, b in zip(seen[0], seen[2], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=ROUNDING * (1 + float(a.abs().max())))


@pytest.mark.parametrize(("norm", "prenorm", "how", "bidirectional"), NORMS_AND_POOLS)
@torch.no_grad()
def test_in_evaluation_a_sequence_in_a_batch_is_the_sequence_alone(
    norm: str, prenorm: bool, how: str, bidirectional: bool
) -> None:
    model = padded_case(norm, prenorm, how, bidirectional).eval()
    together = model(batch(12, 0.0), LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = model(batch(12, 0.0)[row : row + 1, :length])
        torch.testing.assert_close(alone[0], together[row], rtol=ROUNDING, atol=ROUNDING)


@torch.no_grad()
def test_outputs_at_every_position_do_not_depend_on_the_padding() -> None:
    model = padded_case("batch", True, "mean", True, per_step=True)
    short, long = model(batch(12, 0.0), LENGTHS), model(batch(21, 5.0), LENGTHS)
    assert short.shape == (3, 12, 3) and long.shape == (3, 21, 3)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(short[row, :length], long[row, :length], rtol=ROUNDING, atol=ROUNDING)


@torch.no_grad()
def test_padded_tokens_are_not_read() -> None:
    model = small_model(inputs=Inputs("tokens", 5)).eval()
    tokens = torch.randint(5, (3, 12), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[1, 5:] = 99
    assert torch.equal(model(tokens, LENGTHS), model(changed, LENGTHS))


def test_pooling_is_the_mean_or_the_last_of_the_true_positions() -> None:
    x = torch.arange(24.0).view(2, 6, 2)
    lengths = torch.tensor([6, 2])
    assert torch.equal(pool(x, lengths, "mean"), torch.stack([x[0].mean(0), x[1, :2].mean(0)]))
    assert torch.equal(pool(x, lengths, "last"), torch.stack([x[0, 5], x[1, 1]]))
    assert torch.equal(pool(x, None, "mean"), x.mean(1)) and torch.equal(pool(x, None, "last"), x[:, -1])


@pytest.mark.parametrize("lengths", [[12, 0, 3], [12, 13, 3]])
def test_lengths_outside_the_batch_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="in a batch of length 12"):
        small_model()(torch.zeros(3, 12, 1), torch.tensor(lengths))


def test_a_head_for_every_position_is_not_pooled() -> None:
    x = torch.zeros(2, 7, 1)
    assert small_model()(x).shape == (2, 3)
    assert small_model(per_step=True)(x).shape == (2, 7, 3)


def test_dropout_follows_the_global_seed_and_is_off_in_evaluation() -> None:
    model = small_model(dropout=0.5)
    x = torch.randn(2, 7, 1)

    def seeded(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return model(x).detach()

    assert torch.equal(seeded(0), seeded(0)) and not torch.equal(seeded(0), seeded(1))
    model.eval()
    assert torch.equal(seeded(0), seeded(1))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_kernels_of_every_layer_can_be_recorded(bidirectional: bool) -> None:
    kernels = small_model(bidirectional=bidirectional).kernels(16)
    assert [kernel.shape for kernel in kernels] == [(2 if bidirectional else 1, 4, 16)] * 2
    assert not any(kernel.requires_grad for kernel in kernels)


def test_the_windows_of_a_fixed_dt_are_all_alike() -> None:
    found = small_model(timescale=LogUniform(min=0.01, max=0.01)).windows(length=100)
    # 2/dt with dt = exp(log 0.01): a few eps.
    assert found["window_q05"] == pytest.approx(200, 1e-13) and found["window_q95"] == pytest.approx(200, 1e-13)
    assert found["window_over_length"] == 1


def test_a_checkpoint_restores_the_model_to_the_bit() -> None:
    saved, other = small_model(seed=0, train_A=False, norm="batch"), small_model(seed=1, train_A=False, norm="batch")
    x = torch.randn(2, 7, 1)
    saved(x)
    other.load_state_dict(saved.state_dict())
    assert torch.equal(saved.eval()(x), other.eval()(x))
