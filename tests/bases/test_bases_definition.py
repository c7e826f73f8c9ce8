"""Every basis with a definition follows from it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from basis_checks import (
    CUT,
    EPS,
    check_definition,
    gramian,
    instances,
    live_part,
    orthonormal_functions,
    quadrature,
)

from harness.bases.basis import DefinedBasis
from harness.bases.fout import FouT
from harness.bases.lagt import LagT
from harness.bases.legt import LegT

DEFINED = {
    **instances(DefinedBasis),
    "legt, unit window": LegT(window=1.0),
    "fout, unit window": FouT(window=1.0),
    "lagt, hippo2020": LagT(form="hippo2020"),
}
over_defined = pytest.mark.parametrize("basis", DEFINED.values(), ids=DEFINED)


@over_defined
@pytest.mark.parametrize("n", [2, 8, 12])
def test_matrices_follow_from_the_functions_and_the_measure(basis, n):
    check_definition(basis, n)


@over_defined
def test_functions_are_orthonormal_under_the_measure(basis):
    t, w, _ = quadrature(basis)
    K, p = basis.functions(12, t), orthonormal_functions(basis, 12, t)
    _, _, live = live_part(basis, 12)
    # The sum of 7680 terms |K p| w rounds by at most EPS times its size per term, and that size is what cancels.
    rounding = 32 * EPS * ((np.abs(K) * w) @ np.abs(p).T).max()
    np.testing.assert_allclose((K * w) @ p.T, np.diag(live.astype(float)), rtol=0, atol=rounding)


@over_defined
def test_measure_and_functions_are_zero_outside_the_support(basis):
    after = np.array([basis.support + 1]) if np.isfinite(basis.support) else np.array([], dtype=float)
    outside = np.concatenate([[-1.0, -1e-9], after])
    assert not basis.measure(outside).any()
    assert not basis.functions(8, outside).any()


@over_defined
def test_timescale_is_the_mean_of_the_measure(basis):
    t, w, _ = quadrature(basis)
    omega = basis.measure(t)
    mean = (t * omega * w).sum() / (omega * w).sum()
    if np.isinf(basis.timescale):
        # An even weight on [0, T] has mean T/2 for every T, so it has none on [0, inf).
        assert mean == pytest.approx(CUT / 2)
    else:
        assert mean == pytest.approx(basis.timescale, rel=1e-12)


@pytest.mark.parametrize("name", instances(DefinedBasis))
def test_registered_measures_have_mean_one_or_none(name):
    assert DEFINED[name].timescale in (1.0, float("inf"))


@over_defined
def test_exact_bases_have_their_functions_as_kernels(basis):
    A, B = basis.matrices(8)
    t = np.array([0.0, 0.1, 0.7, 2.0, 5.0]) if np.isinf(basis.support) else np.array([0.1, 0.5]) * basis.support
    kernel = np.stack([scipy.linalg.expm(s * A) @ B for s in t], axis=1)
    # expm is backward stable: its error is that of perturbing tA by EPS |tA|, times sqrt(N) |e^tA| <= 64 here.
    rounding = 64 * EPS * max(1.0, np.linalg.norm(t[-1] * A, 2)) * np.linalg.norm(B)
    agrees = np.abs(kernel - basis.functions(8, t)).max() <= rounding
    assert agrees == basis.exact


@over_defined
@pytest.mark.parametrize("n", [16, 64])
def test_a_constant_input_fills_the_state_as_the_measure_says(basis, n):
    A, B, _ = live_part(basis, n)
    x = -np.linalg.solve(A, B)
    # Bessel: |x|^2 = |1|^2 under a probability measure. The even weight of LagT has no such bound: 4N.
    expected = 4 * n if np.isinf(basis.timescale) else 1.0
    assert x @ x == pytest.approx(expected, rel=EPS * np.linalg.cond(A))


@over_defined
@pytest.mark.parametrize("dt", [1e-3, 1e-1])
def test_the_gramian_of_the_bilinear_system_is_dt_times_the_continuous_one(basis, dt):
    A, B, _ = live_part(basis, 16)
    W = gramian(basis, 16)
    back = np.linalg.inv(np.eye(len(A)) - dt / 2 * A)
    A_bar, B_bar = back @ (np.eye(len(A)) + dt / 2 * A), dt * back @ B
    residual = A_bar @ (dt * W) @ A_bar.T + np.outer(B_bar, B_bar) - dt * W
    assert np.abs(residual).max() <= 16 * EPS * dt * np.linalg.norm(W, 2) * np.linalg.cond(np.eye(len(A)) - dt / 2 * A)
