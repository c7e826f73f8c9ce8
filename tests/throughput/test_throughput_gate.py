"""The gate: what is wrong is not timed, what is right is, and a refusal has its reasons."""

from __future__ import annotations

from typing import get_args

import pytest
import throughput_fakes as fakes
import torch

from harness.errors import EnvironmentProblem
from harness.kernels import KERNELS
from harness.kernels.backend import Diagonal, Discretization, Request, Structure
from harness.kernels.reference import recurrence
from harness.registry import lookup
from harness.throughput.contestant import parse
from harness.throughput.gate import GRADIENT_WORST, Gate, Verdict
from harness.throughput.generation import Generation
from harness.throughput.workload import spread

BASIS = {"diagonal": "s4d-lin", "dplr": "legs", "dense": "fout"}
CASES = [
    pytest.param(
        *(name, structure, rule, dtype),
        # KeOps compiles forward and backward per dtype, some 20 s each on an empty cache; torch.compile per shape.
        marks=[pytest.mark.long] if (name, dtype) == ("keops", "float64") or name == "compiled" else [],
    )
    for name in KERNELS
    for structure in get_args(Structure)
    for rule in get_args(Discretization)
    for dtype in ("float32", "float64")
]


@pytest.mark.parametrize(("name", "structure", "rule", "dtype"), CASES)
def test_every_backend_passes_or_says_why_it_cannot_run(name: str, structure: str, rule: str, dtype: str) -> None:
    sizes = {"length": 97, "state": 16, "repeats": 1}
    rows = fakes.measured(name, basis=BASIS[structure], structure=structure, discretization=rule, dtype=dtype, **sizes)
    reasons = lookup("backend", KERNELS, name)().unsupported(Request(structure, rule, 3, 16, 97, 1, dtype=dtype))
    if reasons:
        assert [row for row in rows if row["row"] != "metric"] == [
            {"row": "unsupported", "backend": name, "reasons": list(reasons)}
        ]
        assert not fakes.backends_timed(rows)
    else:
        assert [row["passed"] for row in fakes.gates(rows, name)] == [True] and name in fakes.backends_timed(rows)


@pytest.mark.parametrize("wrong", ["scaled", "infinite"])
@pytest.mark.parametrize("structure", get_args(Structure))
def test_a_wrong_backend_fails_and_is_not_timed(wrong: str, structure: str) -> None:
    rows = fakes.measured("reference", wrong, basis=BASIS[structure], structure=structure)
    assert [row["passed"] for row in fakes.gates(rows, wrong)] == [False]
    assert fakes.backends_timed(rows) == {"reference", "reference#2"}


@pytest.mark.parametrize("structure", get_args(Structure))
def test_a_right_output_with_wrong_gradients_is_timed_forward_alone(structure: str) -> None:
    rows = fakes.measured("reference", "flipped", basis=BASIS[structure], structure=structure)
    assert [row["passed"] for row in fakes.gates(rows, "flipped")] == [True, False]
    assert {name for _, name in fakes.timed(rows) if name.startswith("flipped")} == {"flipped/forward_s"}


@pytest.mark.parametrize("wrong", ["scaled", "flipped"])
def test_the_row_says_which_of_the_two_errors_is_too_large(wrong: str) -> None:
    *_, row = fakes.gates(fakes.measured("reference", wrong), wrong)
    assert not row["passed"]
    assert (row["error"] > row["tolerance"]) == (wrong == "scaled")
    assert row["gradient_error"] > row["gradient_tolerance"]


@pytest.mark.parametrize("fault", [RuntimeError("no kernel image"), MemoryError("too large"), EnvironmentProblem("x")])
def test_a_backend_that_raises_fails_with_its_own_words(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes.Broken, "fault", fault)
    rows = fakes.measured("reference", "broken")
    (row,) = fakes.gates(rows, "broken")
    assert not row["passed"] and row["reason"] == f"{type(fault).__name__}: {fault}"
    assert fakes.backends_timed(rows) == {"reference", "reference#2"}


def test_an_unsupported_backend_gives_its_reasons_and_no_other_row() -> None:
    rows = fakes.measured("reference", "unable")
    reasons = ["It cannot run length 16.", "It has no device."]
    assert {"row": "unsupported", "backend": "unable", "reasons": reasons} in rows
    assert not fakes.gates(rows, "unable") and "unable" not in fakes.backends_timed(rows)


def test_no_condition_excuses_a_gradient_without_two_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    wild = lambda backend, ssm, request: 3 * recurrence(ssm, request.discretization, request.length)  # noqa: E731
    monkeypatch.setattr(fakes.Flipped, "conditioned", wild, raising=False)
    *_, row = fakes.gates(fakes.measured("reference", "flipped"), "flipped")
    assert not row["passed"] and row["gradient_tolerance"] == 1e-2


@pytest.mark.parametrize(("kernel", "gradient"), [(1e-5, 0.0), (0.0, 1e-3)])
def test_neither_error_is_forgiven_by_the_tolerance_of_the_other(kernel: float, gradient: float) -> None:
    assert not Verdict(kernel, gradient, tolerance=1e-6, gradient_tolerance=1e-4, first_call_s=0.0).passed("both")
    assert not Verdict(gradient, kernel, tolerance=1e-4, gradient_tolerance=1e-6, first_call_s=0.0).passed("both")


def test_the_gradient_of_dt_is_judged_by_its_terms_which_may_cancel() -> None:
    """K_0 = 2 Re(C dt B (e^z - 1)/z) and z = dt A: with a real and a long memory, d/ddt is all but 0 at large dt."""
    one = torch.ones(1, 1, dtype=torch.complex128)
    ssm = Diagonal(-one, one, one[None], torch.full((1,), 20.0, dtype=torch.float64))
    request = Request("diagonal", "zoh", heads=1, state=2, length=1)
    gate = Gate(Generation(ssm, request, torch.ones(1, 1, 1, dtype=torch.float64)))
    dA, dB, _, ddt = gate.truth.gradients
    assert ddt.abs().item() < 1e-6 and gate.sizes[-1] == pytest.approx((dA.abs() + dB.abs()).item() / 20)


def test_a_kernel_is_not_allowed_the_error_of_the_reference_s_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undamped modes over many steps: the plain sum's gradient in A loses far more digits than its kernel.

    What the plain sum loses is allowed, however much it is.
    """
    monkeypatch.setitem(GRADIENT_WORST, "float32", 0.0)
    frequency = torch.tensor([[3.1, 2.3]], dtype=torch.float64)
    one = torch.ones(1, 2, dtype=torch.complex128)
    A, C = torch.complex(torch.full_like(frequency, -1e-3), frequency), torch.stack((one,))
    ssm = Diagonal(A, one, C, torch.ones(1, dtype=torch.float64))
    request = Request("diagonal", "zoh", heads=1, state=4, length=2000)
    cotangent = torch.randn(1, 1, 2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    verdict = Gate(Generation(ssm, request, cotangent)).judge(parse("seen", applied=False))
    assert verdict.tolerance == pytest.approx(2 * verdict.output + 64 * 2.0**-23)
    assert verdict.gradient_tolerance == pytest.approx(2 * verdict.gradient + 1e-3)


def test_in_float64_no_backend_answers_for_the_rounding_of_the_truth() -> None:
    """There the plain reference is the truth, and its own error 0 says nothing of how exact that is."""
    case = {"structure": "dense", "basis": "fout", "discretization": "bilinear", "dtype": "float64"}
    (row,) = fakes.gates(fakes.measured("krylov", **case, length=97, heads=4, gate_heads=4, state=32), "krylov")
    assert row["passed"] and row["tolerance"] == 64 * 2.0**-52 + (3 * 97 + 10 * 32) * 2.0**-53


def test_the_gate_compares_heads_from_the_least_dt_to_the_greatest() -> None:
    dt = torch.tensor([0.3, 0.1, 0.5, 0.2, 0.4], dtype=torch.float64)
    one = torch.ones(5, 1, dtype=torch.complex128)
    assert dt[spread(Diagonal(one, one, one[None], dt), 3)].tolist() == [0.1, 0.3, 0.5]
