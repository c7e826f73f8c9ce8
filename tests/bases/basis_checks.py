"""Checks of a basis against its own definition; the tests apply them to the bases, the mutants to planted faults.

Composite Gauss-Legendre quadrature throughout: PANELS panels of NODES nodes over the support, which for an infinite
support is cut at t = 160, where K(t) p(t) of every basis here is below 1e-14 at N <= 12.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.polynomial import legendre

from harness.bases import BASES
from harness.bases.basis import Basis, DefinedBasis, MatrixBasis, Real
from harness.registry import lookup

EPS = float(np.finfo(np.float64).eps)
NODES, PANELS = 24, 320
CUT = 160.0


def instances(kind: type[Basis]) -> dict[str, Basis]:
    """Every registered basis of a kind, with its default parameters."""
    classes = {name: lookup("basis", BASES, name) for name in BASES}
    return {name: component() for name, component in classes.items() if issubclass(component, kind)}


def quadrature(basis: DefinedBasis) -> tuple[Real, Real, Real]:
    """Nodes t (T,), weights (T,), and d/dt from node to node of a panel (NODES, NODES)."""
    half = min(basis.support, CUT) / PANELS / 2
    x, w = legendre.leggauss(NODES)
    starts = 2 * half * np.arange(PANELS)[:, None]
    P = legendre.legvander(x, NODES - 1)
    dP = np.stack([legendre.legval(x, legendre.legder(e)) for e in np.eye(NODES)], axis=1)
    projection = (np.arange(NODES)[:, None] + 0.5) * P.T * w
    return (starts + half * (x + 1)).ravel(), np.tile(half * w, PANELS), dP @ projection / half


def orthonormal_functions(basis: DefinedBasis, n: int, t: Real) -> Real:
    """p_n(t) = K_n(t) / omega(t), (N, T)."""
    return basis.functions(n, t) / basis.measure(t)


def matrices_by_quadrature(basis: DefinedBasis, n: int) -> tuple[Real, Real, float]:
    """A, B and the rounding error of this derivation, from the functions and the measure alone.

    x_n' = K_n(0) u(t) - K_n(T) u(t - T) + int K_n'(s) u(t - s) ds with u(t - s) = sum_k x_k p_k(s) on the support
    [0, T]. At its far end a polynomial series gives u(t - T); a periodic one gives the mid-point of the jump, so that
    u(t - T) = 2 sum_k x_k p_k(T) - u(t). Nothing is there when the support is infinite.
    """
    t, w, derivative = quadrature(basis)
    K, p = basis.functions(n, t), orthonormal_functions(basis, n, t)
    dK = (K.reshape(n, PANELS, NODES) @ derivative.T).reshape(n, -1)
    A = (dK * w) @ p.T
    B = basis.functions(n, np.zeros(1))[:, 0]
    # K carries n EPS of its own; differentiating multiplies that by at most the row sums of its matrix.
    amplification = float(np.abs(derivative).sum(axis=1).max())
    rounding = n * EPS * amplification * float((np.abs(K) * w @ np.abs(p).T).max())
    if np.isfinite(basis.support):
        end = np.array([basis.support])
        K_end, p_end = basis.functions(n, end)[:, 0], orthonormal_functions(basis, n, end)[:, 0]
        periodic = np.allclose(K_end, B)
        A = A - (2 if periodic else 1) * np.outer(K_end, p_end)
        B = B + K_end if periodic else B
    return A, B, rounding


def check_definition(basis: DefinedBasis, n: int) -> None:
    """`matrices` are the ones that the functions and the measure define."""
    A, B, rounding = matrices_by_quadrature(basis, n)
    A_given, B_given = basis.matrices(n)
    np.testing.assert_allclose(A_given, A, rtol=0, atol=rounding)
    np.testing.assert_allclose(B_given, B, rtol=0, atol=rounding)


def live_part(basis: MatrixBasis, n: int) -> tuple[Real, Real, Real]:
    """A and B without states that nothing enters or moves, and the mask of the states kept."""
    A, B = basis.matrices(n)
    live = (np.abs(A).sum(axis=1) + np.abs(B)) > 0
    return A[np.ix_(live, live)], B[live], live


def gramian(basis: MatrixBasis, n: int) -> Real:
    """W with AW + WA^T + BB^T = 0, over the live states."""
    A, B, _ = live_part(basis, n)
    return scipy.linalg.solve_continuous_lyapunov(A, -np.outer(B, B))


def window_errors(basis: DefinedBasis, n: int) -> tuple[Real, Real]:
    """(|K - e^{tA}B| inside the window, |e^{tA}B| after it) / |K| in L2, each (N,); zero for a dead state."""
    A, B, live = live_part(basis, n)
    theta, nodes, panels = basis.support, 8, n // 2
    h = theta / panels
    x, w = legendre.leggauss(nodes)
    step = scipy.linalg.expm(h * A)
    starts = [B]
    for _ in range(panels):
        starts.append(step @ starts[-1])
    inside = np.zeros(len(B))
    for x_i, w_i in zip(x, w, strict=True):
        s = h * (x_i + 1) / 2
        kernel = scipy.linalg.expm(s * A) @ np.stack(starts[:-1], axis=1)
        ideal = basis.functions(n, s + h * np.arange(panels))[live]
        inside += h / 2 * w_i * ((kernel - ideal) ** 2).sum(axis=1)
    window = np.linalg.matrix_power(step, panels)
    leaked = np.diag(window @ gramian(basis, n) @ window.T)
    errors = np.zeros((2, n))
    errors[:, live] = np.sqrt(theta * np.stack([inside, leaked]))
    return errors[0], errors[1]


def window_errors_on_a_grid(basis: DefinedBasis, n: int, steps: int) -> tuple[Real, Real]:
    """`window_errors` by plain sums over t = 0, 1/steps, ..., 3 windows, the window's two ends inside; NaN if dead."""
    A, B = basis.matrices(n)
    step, x, kernel = scipy.linalg.expm(basis.support / steps * A), B, np.empty((n, 3 * steps + 1))
    for i in range(kernel.shape[1]):
        kernel[:, i], x = x, step @ x
    ideal = basis.functions(n, np.linspace(0, basis.support, steps + 1))
    inside = ((kernel[:, : steps + 1] - ideal) ** 2).sum(axis=1)
    leaked = (kernel[:, steps + 1 :] ** 2).sum(axis=1)
    with np.errstate(invalid="ignore"):
        errors: Real = np.sqrt(np.stack([inside, leaked]) / (ideal**2).sum(axis=1))
    return errors[0], errors[1]


def check_leakage_falls(basis: DefinedBasis) -> None:
    """What the constant leaks falls from N = 16 to N = 128 as 1/sqrt(N) does, by 2.8; at least by 2 is asked."""
    coarse, fine = (window_errors(basis, n)[1][0] for n in (16, 128))
    assert fine < coarse / 2


def check_all_pass(basis: DefinedBasis, n: int) -> None:
    """2 b^T x - u, with 2b = theta B, has gain 1 at every frequency. Rounding: the condition of sI - A, below 1e4."""
    A, B, _ = live_part(basis, n)
    for frequency in (0.1, 1.0, 5.0, 20.0, 300.0):
        assert abs(abs(mid_point_delay(A, B, basis.support, 1j * frequency)) - 1) < 1e4 * EPS


def mid_point_delay(A: Real, B: Real, theta: float, s: complex) -> complex:
    """The transfer function theta B^T (sI - A)^-1 B - 1."""
    return complex(theta * B @ np.linalg.solve(s * np.eye(len(A)) - A, B.astype(complex)) - 1)
