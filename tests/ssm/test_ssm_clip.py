"""Clamping B: the modulus form by definition, the imaginary form against what the official code keeps."""

from __future__ import annotations

import numpy as np
import pytest
from ssm_cases import basis_named

from harness.bases.normal import NormalForm, normal_form
from harness.ssm.clip import clip_imag, clip_modulus
from harness.ssm.config import S4
from harness.ssm.initial import initial_pairs


def form_of(name: str, n: int) -> NormalForm:
    return normal_form(basis_named(name), n)  # type: ignore[arg-type]


def kept(clipped: np.ndarray, B: np.ndarray) -> float:
    return float(np.sum(np.abs(clipped) ** 2) / np.sum(np.abs(B) ** 2))


def test_the_modulus_form_keeps_phases_and_small_entries_and_limits_the_rest() -> None:
    B = np.array([0.5j, 3 + 4j, -2.0, 0.0])
    assert np.allclose(clip_modulus(B, 2.0), [0.5j, 1.2 + 1.6j, -2.0, 0.0], rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("name", "n", "share"),
    [
        ("legs", 4, 0.627),
        ("legs", 64, 0.037),
        ("legs", 256, 0.009),
        ("legt", 64, 0.57),
        ("legt", 256, 0.52),
        ("fout", 64, 1.0),
    ],
)
def test_the_imaginary_form_keeps_the_energy_the_official_clamp_keeps(name: str, n: int, share: float) -> None:
    form = form_of(name, n)
    digits = len(f"{share}".partition(".")[2])
    # The shares measured on the official code, to half a unit of the digits they were noted in.
    assert abs(kept(clip_imag(form.B, form.V, 2.0), form.B) - share) <= 0.5 * 10.0**-digits


def test_the_imaginary_form_does_not_depend_on_the_phases_of_the_eigenvectors() -> None:
    form = form_of("legt", 16)
    turn = np.exp(1j * np.arange(8))
    clipped = clip_imag(form.B, form.V, 2.0)
    # V e^{i a} has coordinates e^{-i a} V* B; a product or two of rounding.
    assert np.allclose(clip_imag(form.B / turn, form.V * turn, 2.0), clipped / turn, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("part", ["modulus", "imag"])
def test_the_clamp_is_off_unless_asked_for(part: str) -> None:
    basis, B = basis_named("legs"), form_of("legs", 16).B
    off = initial_pairs(S4(d_model=1, d_state=16), basis).B[0]
    on = initial_pairs(S4(d_model=1, d_state=16, b_clip=2.0, b_clip_part=part), basis).B[0]  # type: ignore[arg-type]
    assert np.array_equal(off, B)
    assert kept(on, B) < 0.5


def test_the_modulus_form_serves_the_diagonal_structure() -> None:
    config = S4(d_model=1, d_state=64, structure="diagonal", b_clip=2.0)
    # The largest modulus is the limit, up to the rounding of one product.
    assert np.abs(initial_pairs(config, basis_named("s4d-legs")).B).max() == pytest.approx(2.0, rel=1e-15)
