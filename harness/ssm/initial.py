"""The initial A, B and P of one layer: n_ssm copies, dealt among the parts of the basis in equal blocks.

Legend: S copies (n_ssm), N state size, n = N/2 conjugate pairs, R rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from harness.bases.basis import Basis, Complex, DiagonalBasis, MatrixBasis, Real
from harness.bases.normal import normal_form
from harness.ssm.clip import clip_imag, clip_modulus
from harness.ssm.config import S4, parts


@dataclass(frozen=True)
class Pairs:
    """Conjugate pairs: A, B (S, n) complex128; P (S, R, n) complex128, None for the diagonal structure."""

    A: Complex
    B: Complex
    P: Complex | None


def initial_pairs(config: S4, basis: Basis) -> Pairs:
    """What the basis says for `dplr` or `diagonal`, P padded with zero rows to the rank of the model."""
    make = _diagonal if config.structure == "diagonal" else _dplr
    A, B, P = zip(*(make(config, part, config.full_rank(basis)) for part in parts(basis)), strict=True)
    repeats = config.copies // len(A)
    return Pairs(
        np.repeat(np.stack(A), repeats, axis=0),
        np.repeat(np.stack(B), repeats, axis=0),
        None if config.structure == "diagonal" else np.repeat(np.stack(P), repeats, axis=0),
    )


def initial_dense(config: S4, basis: Basis) -> tuple[Real, Real]:
    """A (S, N, N) and B (S, N) of the basis, as they are."""
    A, B = zip(*(cast(MatrixBasis, part).matrices(config.d_state) for part in parts(basis)), strict=True)
    repeats = config.copies // len(A)
    return np.repeat(np.stack(A), repeats, axis=0), np.repeat(np.stack(B), repeats, axis=0)


def _dplr(config: S4, part: Basis, rank: int) -> tuple[Complex, Complex, Complex]:
    form = normal_form(cast(MatrixBasis, part), config.d_state)
    B = form.B
    if config.b_clip is not None:
        modulus = config.b_clip_part == "modulus"
        B = clip_modulus(B, config.b_clip) if modulus else clip_imag(B, form.V, config.b_clip)
    return form.Lambda, B, np.pad(form.P, ((0, rank - len(form.P)), (0, 0)))


def _diagonal(config: S4, part: Basis, rank: int) -> tuple[Complex, Complex, Complex]:
    A, B = cast(DiagonalBasis, part).spectrum(config.d_state)
    return A, B if config.b_clip is None else clip_modulus(B, config.b_clip), np.zeros((rank, len(A)), np.complex128)
