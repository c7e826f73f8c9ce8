"""LegT and FouT: the delay that each approximates, and what each leaks past its window."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
from basis_checks import (
    EPS,
    check_all_pass,
    check_leakage_falls,
    gramian,
    live_part,
    mid_point_delay,
    window_errors,
    window_errors_on_a_grid,
)

from harness.bases.fout import FouT
from harness.bases.legt import LegT
from harness.errors import UsageError

# (N, state or cosine mode): (error inside the window, leakage after it), relative to the ideal function in L2. These
# are the tables' own digits, which are those of plain sums on a grid of 500 (LegT) and 1000 (FouT) steps per window.
LEGT_TABLE = {
    (8, 0): (0.131, 0.088), (8, 1): (0.235, 0.142), (8, 4): (0.485, 0.097), (8, 7): (0.712, 0.016),
    (32, 0): (0.064, 0.044), (32, 1): (0.111, 0.075), (32, 16): (0.480, 0.038), (32, 31): (0.751, 0.001),
    (128, 0): (0.034, 0.019), (128, 1): (0.059, 0.033), (128, 64): (0.541, 0.012), (128, 127): (0.745, 2e-5),
}  # fmt: skip
FOUT_TABLE = {
    (32, 0): (0.095, 0.028), (32, 1): (0.136, 0.045), (32, 8): (0.227, 0.182), (32, 15): (0.558, 0.489),
    (128, 0): (0.054, 0.013), (128, 1): (0.076, 0.019), (128, 32): (0.190, 0.174), (128, 63): (0.653, 0.576),
    (512, 0): (0.040, 0.005), (512, 1): (0.057, 0.008), (512, 128): (0.181, 0.172), (512, 255): (0.731, 0.613),
}  # fmt: skip


@pytest.mark.parametrize("window", [1.0, 2.0])
@pytest.mark.parametrize("n", [8, 32, 128])
def test_legt_leaks_as_tabled(n, window):
    inside, leaked = window_errors_on_a_grid(LegT(window=window), n, steps=500)
    for (size, state), (tabled_inside, tabled_leaked) in LEGT_TABLE.items():
        if size == n:
            assert inside[state] == pytest.approx(tabled_inside, abs=5e-4)
            assert leaked[state] == pytest.approx(tabled_leaked, abs=5e-4 if tabled_leaked >= 1e-3 else 5e-6)


@pytest.mark.parametrize("window", [1.0, 2.0])
@pytest.mark.parametrize("n", [32, 128, 512])
def test_fout_leaks_as_tabled(n, window):
    inside, leaked = window_errors_on_a_grid(FouT(window=window), n, steps=1000)
    for (size, mode), tabled in FOUT_TABLE.items():
        if size == n:
            assert (inside[2 * mode], leaked[2 * mode]) == pytest.approx(tabled, abs=5e-4)


@pytest.mark.parametrize("basis", [LegT(), FouT()], ids=["legt", "fout"])
def test_the_grid_sums_tend_to_the_integrals_inside_the_window(basis):
    live = np.array([0, 2, 3, 4, 5, 6, 7])
    exact = window_errors(basis, 8)[0][live]
    coarse, fine = (window_errors_on_a_grid(basis, 8, steps)[0][live] for steps in (500, 1000))
    # Plain sums err by O(h) in the energy. One Richardson step leaves O((h f)^2), f = 8 pi for eight states.
    np.testing.assert_allclose(np.sqrt(2 * fine**2 - coarse**2), exact, rtol=0, atol=(8 * np.pi / 500) ** 2)


@pytest.mark.parametrize("basis", [LegT(), FouT()], ids=["legt", "fout"])
def test_what_the_constant_leaves_behind_the_window_vanishes_with_n(basis):
    check_leakage_falls(basis)


@pytest.mark.parametrize("n", [16, 64, 128])
def test_the_naive_fourier_closure_leaks_a_constant_that_no_n_removes(n):
    # Its constant mode is (1 - H)/s with H = (1 + z)/(3 - z), z = e^-s: 2/3 in the window, then a third of the last, so
    # the leakage is 2/3 (1/9 + 1/81 + ...)^(1/2) = 18^(-1/2) in the limit; truncating the series errs by 1/N.
    leaked = window_errors(FouT(closure="naive"), n)[1][0]
    assert leaked == pytest.approx(18**-0.5, abs=1 / (4 * n))


def test_the_naive_fourier_closure_echoes_with_ratio_one_third():
    # exp(theta Re) = 1/3 over one window: Re -> -2 artanh(1/2) / theta = -log 3, approached as 1/N.
    Lambda, _ = FouT(window=1.0, closure="naive").spectrum(512)
    assert np.exp(Lambda[0].real) == pytest.approx(1 / 3, abs=2 / 512)


@pytest.mark.parametrize("window", [1.0, 2.0])
@pytest.mark.parametrize("n", [3, 5, 6])
def test_the_oldest_sample_that_legt_reads_is_the_pade_delay(n, window):
    A, B = LegT(window=window).matrices(n)
    oldest = np.sqrt(2 * np.arange(n) + 1.0) * (-1.0) ** np.arange(n)
    for s in (0.3, 2.0, 1j, 5j, 1 + 20j):
        z = s * window
        transfer = oldest @ np.linalg.solve(s * np.eye(n) - A, B.astype(complex))
        # A 6 x 6 solve: EPS times its condition, below 1e4 at these s.
        assert abs(transfer - pade_of_exponential(n - 1, n, z)) < 1e4 * EPS


def pade_of_exponential(p: int, q: int, z: complex) -> complex:
    """The [p/q] Pade approximant of e^-z."""

    def weight(a: int, j: int) -> float:
        return factorial(p + q - j) * factorial(a) / (factorial(p + q) * factorial(j) * factorial(a - j))

    numerator = sum(weight(p, j) * (-z) ** j for j in range(p + 1))
    return numerator / sum(weight(q, j) * z**j for j in range(q + 1))


@pytest.mark.parametrize("window", [1.0, 2.0])
@pytest.mark.parametrize("n", [8, 32, 128])
def test_the_mid_point_delay_of_fout_is_all_pass(n, window):
    check_all_pass(FouT(window=window), n)


@pytest.mark.parametrize(("frequency", "error"), [(0.1, 3e-6), (1.0, 0.003), (5.0, 0.024), (20.0, 0.074)])
def test_the_mid_point_delay_of_fout_has_the_tabled_phase_error(frequency, error):
    A, B, _ = live_part(FouT(window=1.0), 32)
    phase = np.angle(mid_point_delay(A, B, 1.0, 1j * frequency) * np.exp(1j * frequency))
    last_digit = 10.0 ** np.floor(np.log10(error)) if error < 0.01 else 1e-3
    assert abs(phase) == pytest.approx(error, abs=last_digit / 2)


@pytest.mark.parametrize("window", [1.0, 2.0])
@pytest.mark.parametrize("n", [8, 64])
def test_the_gramian_of_fout_is_the_identity_over_the_window(n, window):
    W = gramian(FouT(window=window), n)
    A, _ = FouT(window=window).matrices(n)
    # Bartels-Stewart: N EPS |A| |W| over the separation of A, twice its slowest decay, at least 0.5 here.
    rounding = 2 * n * EPS * np.linalg.norm(A, 2) / window
    np.testing.assert_allclose(W, np.eye(n - 1) / window, rtol=0, atol=rounding)


def test_the_gramian_of_legt_has_the_tabled_trace():
    assert np.trace(gramian(LegT(window=1.0), 64)) == pytest.approx(53.5, abs=0.05)


@pytest.mark.parametrize("basis", [LegT, FouT])
def test_doubling_the_window_halves_the_rate(basis):
    (A1, B1), (A2, B2) = basis(window=1.0).matrices(16), basis(window=2.0).matrices(16)
    np.testing.assert_allclose(2 * A2, A1, rtol=2 * EPS)
    np.testing.assert_allclose(2 * B2, B1, rtol=2 * EPS)


@pytest.mark.parametrize("basis", [LegT, FouT])
@pytest.mark.parametrize("window", [0.0, -1.0, float("inf"), float("nan")])
def test_a_window_that_is_no_length_is_refused(basis, window):
    with pytest.raises(UsageError, match="window"):
        basis(window=window)


def test_an_unknown_closure_is_refused_by_name():
    with pytest.raises(UsageError, match="Did you mean 'naive'"):
        FouT(closure="naif")
