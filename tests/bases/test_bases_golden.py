"""Ours against the official code at tag v3.0.0: matrices, and kernels to its own error. See tests/golden/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from basis_checks import EPS

from harness.bases.fout import FouT
from harness.bases.legs import LegS
from harness.bases.legt import LegT
from harness.bases.normal import normal_form
from harness.kernels import KERNELS
from harness.kernels.backend import DPLR, Dense, Request
from harness.registry import lookup

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "official_kernels.npz"))
BASES = {"legs": LegS(), "legt": LegT(), "fout": FouT()}
over_cases = pytest.mark.parametrize(("name", "n"), [(name, n) for name in BASES for n in (16, 64)])


def case(name, n):
    prefix = f"{name}_{n}_"
    return {key.removeprefix(prefix): value for key, value in GOLDEN.items() if key.startswith(prefix)}


def recurrence(A, B, C, dt, length):
    """Bilinear kernel (H, L) by the plain recurrence x <- Abar x."""
    kernels = np.empty((len(dt), length))
    for h, step in enumerate(dt):
        back = np.eye(len(A)) - step / 2 * A
        A_bar = np.linalg.solve(back, np.eye(len(A)) + step / 2 * A)
        x = np.linalg.solve(back, step * B)
        for i in range(length):
            kernels[h, i] = C[h] @ x
            x = A_bar @ x
    return kernels


def heads(value, count):
    """The same array for every head."""
    return torch.from_numpy(np.ascontiguousarray(value)).expand(count, *value.shape)


def dense(basis, n, shift, C, dt):
    A, B = basis.matrices(n)
    return Dense(
        heads(A - shift * np.eye(n), len(dt)), heads(B, len(dt)), torch.from_numpy(C)[None], torch.from_numpy(dt)
    )


def dplr(basis, n, shift, C, dt):
    """x = 2 Re(V z), so that y = C x = 2 Re((C V) z)."""
    form = normal_form(basis, n)
    A, B, P = (heads(value, len(dt)) for value in (form.Lambda - shift, form.B, form.P))
    return DPLR(A, B, P, torch.from_numpy(C @ form.V)[None], torch.from_numpy(dt))


@over_cases
def test_matrices_are_the_official_ones(name, n):
    official = case(name, n)
    A, B = BASES[name].matrices(n)
    P = BASES[name].low_rank(n)
    # Both are a few roundings away from the exact entries.
    np.testing.assert_allclose(A, official["A"], rtol=8 * EPS, atol=0)
    np.testing.assert_allclose(B, official["B"], rtol=8 * EPS, atol=0)
    np.testing.assert_allclose(P.T @ P, official["P"].T @ official["P"], rtol=8 * EPS, atol=0)


@over_cases
@pytest.mark.parametrize("path", ["kernel_dense", "kernel_cauchy"])
@pytest.mark.parametrize("structure", [dense, dplr])
@pytest.mark.parametrize("backend", ["reference", "krylov"])
def test_kernels_agree_with_the_official_ones_to_their_own_error(name, n, path, structure, backend):
    official = case(name, n)
    theirs, C, dt = official[path], official["C"], official["dt"]
    # Their Cauchy path cannot divide by the zero frequency of FouT and damps the normal part by `real_tolerance`.
    shift = float(official["real_tolerance"]) if path == "kernel_cauchy" else 0.0
    H, L = theirs.shape
    their_error = np.abs(theirs - recurrence(official["A"] - shift * np.eye(n), official["B"], C, dt, L)).max()
    request = Request(structure.__name__, "bilinear", H, n, L, rank=len(official["P"]), dtype="float64")
    ours = lookup("backend", KERNELS, backend)().kernel(structure(BASES[name], n, shift, C, dt), request)[0].numpy()
    # The band is what one rounding of every entry of A and B does to a kernel of a contraction, over L steps.
    band = L * EPS * np.abs(C).sum(axis=1).max() * np.abs(official["B"]).max() * dt.max()
    assert their_error <= 16 * band
    assert np.abs(ours - theirs).max() <= 2 * their_error + band
