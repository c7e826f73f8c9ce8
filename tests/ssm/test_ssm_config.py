"""The model's parameters: every mistake is one sentence."""

from __future__ import annotations

from typing import Any

import pytest
from ssm_cases import basis_named

from harness.errors import UsageError
from harness.ssm.config import S4
from harness.ssm.timescale import LogUniform


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"d_model": 0}, "model.d_model is 0"),
        ({"d_state": -2}, "model.d_state is -2"),
        ({"d_state": 7}, "must be even"),
        ({"n_layers": 0}, "model.n_layers is 0"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
        ({"n_ssm": 3, "d_model": 8}, "must divide model.d_model"),
        ({"n_ssm": 0}, "must divide model.d_model"),
        ({"rank": 0}, "model.rank is 0"),
        ({"b_clip": 0.0}, "must be above 0"),
        ({"b_clip": 2.0, "structure": "dense"}, "no eigenbasis"),
        ({"b_clip": 2.0, "b_clip_part": "imag", "structure": "diagonal"}, "'modulus' for the diagonal"),
        ({"structure": "dlpr"}, "Did you mean 'dplr'"),
        ({"norm": "bach"}, "Did you mean 'batch'"),
        ({"dropout_convolution": 1.0}, "model.dropout_convolution is 1.0"),
        ({"real_floor": 0.0}, "real_floor is 0.0"),
        ({"real_floor": 1e-4, "structure": "dense"}, "no Re"),
        ({"norm_over_padding": True, "norm": "layer"}, "set model.norm = 'batch'"),
        ({"pool": "max"}, "Choose one of: mean, last"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        S4(**options)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("legt", {"rank": 1}, "needs rank 2"),
        ("s4d-lin", {"structure": "dplr"}, "has no dplr form; it has: diagonal"),
        ("legs", {"structure": "diagonal"}, "has no diagonal form"),
        ("legs+fout", {"n_ssm": 1}, "must be a multiple"),
    ],
)
def test_a_basis_that_does_not_fit_the_model_is_refused(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        S4(**options).check(basis_named(name), name)


@pytest.mark.parametrize("structure", ["dplr", "dense"])
def test_a_dt_for_each_state_needs_states_that_do_not_mix(structure: Any) -> None:
    with pytest.raises(UsageError, match=r"set dt\.per = 'head'"):
        S4(structure=structure).check(basis_named("legs"), "legs", LogUniform(per="state"))


@pytest.mark.parametrize(("structure", "rule"), [("dplr", "bilinear"), ("dense", "bilinear"), ("diagonal", "zoh")])
def test_the_default_discretisation_is_written_out(structure: Any, rule: str) -> None:
    assert S4(structure=structure).discretization == rule


def test_n_ssm_is_written_out_as_the_number_of_heads() -> None:
    assert S4(d_model=12).n_ssm == 12


@pytest.mark.parametrize(("name", "rank", "asked"), [("legs", None, 1), ("legt", None, 2), ("fout", 4, 4)])
def test_the_request_states_the_rank_and_the_channels(name: str, rank: int | None, asked: int) -> None:
    request = S4(rank=rank, bidirectional=True).request(basis_named(name), length=99)
    assert (request.rank, request.channels, request.length) == (asked, 2, 99)
