"""A layer by chunks is the convolution by the float64 recurrence's kernel, and a state is carried exactly."""

from __future__ import annotations

import dataclasses
import math
from typing import get_args

import pytest
import torch
from kernel_cases import SHAPES, Shape, request_for, sample

from harness.errors import Unsupported
from harness.kernels import KERNELS
from harness.kernels.apply import fft_conv
from harness.kernels.backend import Backend, Request, StateSpace, Structure
from harness.kernels.chunked import Tables, advance, chunked, run
from harness.kernels.reference import recurrence
from harness.kernels.tables import toeplitz
from harness.registry import lookup

STRUCTURES = get_args(Structure)
DTYPES = ("float32", "float64")
LENGTHS = (1, 2, 127, 128, 129, 300)


def inputs(request: Request, batch: int = 3) -> torch.Tensor:
    draw = torch.Generator().manual_seed(request.length)
    dtype = getattr(torch, request.dtype)
    return torch.randn(batch, request.heads, request.length, generator=draw, dtype=dtype).requires_grad_()


def outcome(ssm: StateSpace, u: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    """y and its gradients in u and every parameter, for a fixed random functional of y."""
    draw = torch.Generator().manual_seed(1)
    weights = torch.randn(y.shape, generator=draw, dtype=torch.float64)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), (u, *vars(ssm).values()))]


def errors(found: list[torch.Tensor], true: list[torch.Tensor]) -> list[float]:
    return [float((one - other).norm() / other.norm()) for one, other in zip(found, true, strict=True)]


def tolerance(request: Request) -> float:
    """An output sums at most L + 2 S products, each of at most log2 Q + 4 rounded factors; sums round at random.

    The truth's own FFT and recurrence in float64 add a rounding a step.
    """
    unit = 2.0**-24 if request.dtype == "float32" else 2.0**-53
    terms = math.sqrt(request.length + 2 * request.state)
    return (terms + 3 * (7 + 4)) * unit + (3 * request.length + 10 * request.state) * 2.0**-53


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_chunks_are_the_convolution_gradients_included(structure: str, dtype: str, channels: int, length: int) -> None:
    request = request_for(structure, "bilinear", dtype, Shape(length, 2, 3, channels))
    ssm, u = sample(request), inputs(request)
    exact = fft_conv(u.double(), recurrence(ssm, request.discretization, length), channels == 2)
    true = outcome(ssm, u, exact)
    found = outcome(ssm, u, chunked(u, ssm, request))
    # dt's gradient is an inner product of the others with their parameters, and cancels: judged beside A's.
    scale = float(ssm.A.detach().norm() * true[2].norm() / ssm.dt.detach().norm())
    found[-1], true[-1] = found[-1] / scale, true[-1] / scale
    worst = [*errors(found[:-1], true[:-1]), float((found[-1] - true[-1]).norm())]
    assert max(worst) <= 4 * tolerance(request), worst


@pytest.mark.parametrize("structure", STRUCTURES)
def test_chunks_are_the_same_in_any_layout_gradients_included(structure: str) -> None:
    request = request_for(structure, "bilinear", "float32", Shape(300, 2, 3, 2))
    ssm, u = sample(request), inputs(request)
    stored = u.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    assert not stored.is_contiguous()
    outcomes = [outcome(ssm, one, chunked(one, ssm, request)) for one in (stored, u)]
    assert all(map(torch.equal, *outcomes))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_sequence_does_not_depend_on_its_batch(structure: str) -> None:
    request = request_for(structure, "zoh", "float32", Shape(300, 2, 3, 2))
    ssm, u = sample(request), inputs(request)
    together = chunked(u, ssm, request)
    alone = torch.cat([chunked(u[m : m + 1], ssm, request) for m in range(3)])
    assert (together - alone).abs().max() <= 8 * 2.0**-24 * together.abs().max()


@pytest.mark.parametrize("cut", [0, 1, 127, 128, 200, 300])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_two_pieces_are_the_whole_and_their_state_is_the_recurrences(structure: str, cut: int) -> None:
    request = request_for(structure, "zoh", "float64", Shape(300, 2, 3, 1))
    ssm, u = sample(request), inputs(request)
    rest = u.new_zeros(3, 2, 6)
    whole = advance(u, ssm, "zoh", rest)
    first = advance(u[..., :cut], ssm, "zoh", rest)
    second = advance(u[..., cut:], ssm, "zoh", first.x)
    unit = (3 * request.length + 10 * request.state) * 2.0**-53
    assert (torch.cat((first.y, second.y), -1) - whole.y).norm() <= unit * whole.y.norm()
    assert (second.x - whole.x).norm() <= unit * whole.x.norm()
    exact = fft_conv(u, recurrence(ssm, "zoh", 300))
    assert (whole.y - exact).norm() <= unit * exact.norm()


@pytest.mark.parametrize("diagonal", [True, False])
def test_gradients_of_a_run_equal_finite_differences(diagonal: bool) -> None:
    M, H, G, Q, n = 2, 2, 3, 4, 2
    draw = torch.Generator().manual_seed(0)

    def leaf(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        return torch.randn(shape, generator=draw, dtype=dtype).requires_grad_()

    A = leaf(H, n, dtype=torch.complex128) if diagonal else leaf(H, 2 * n, 2 * n)
    given = leaf(M, H, G * Q), leaf(M, H, 2 * n), leaf(H, Q, Q), leaf(H, Q, 2 * n), leaf(H, 2 * n, Q), A
    assert torch.autograd.gradcheck(lambda u, x, *tables: tuple(run(u, Tables(*tables), x)), given)


def test_the_toeplitz_table_holds_the_kernel_on_its_diagonals() -> None:
    K = torch.arange(1.0, 9.0).reshape(2, 4)
    T = toeplitz(K)
    for j in range(4):
        for i in range(4):
            assert (T[:, j, i] == (K[:, i - j] if i >= j else 0)).all()


@pytest.mark.parametrize("length", [shape.length for shape in SHAPES])
def test_an_undamped_mode_keeps_its_phase_over_many_chunks(length: int) -> None:
    request = request_for("diagonal", "zoh", "float32", Shape(16 * length, 1, 2, 1))
    sampled = sample(request)
    ssm = dataclasses.replace(sampled, A=torch.complex(torch.zeros(1, 2), torch.tensor([[0.0, 300.0]])).to(sampled.A))
    u = inputs(request, batch=1)
    exact = fft_conv(u.double(), recurrence(ssm, "zoh", request.length))
    assert (chunked(u, ssm, request) - exact).norm() <= 4 * tolerance(request) * exact.norm()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", KERNELS)
def test_a_backend_chunks_or_says_that_it_does_not(name: str, structure: str) -> None:
    backend: Backend = lookup("backend", KERNELS, name)()
    request = request_for(structure, "bilinear", "float32", Shape(300, 2, 3, 1))
    asked = dataclasses.replace(request, application="chunked")
    ssm, u = sample(request), inputs(request)
    if reasons := backend.unsupported(asked):
        assert any("chunked" in reason for reason in reasons) or backend.unsupported(request)
        with pytest.raises(Unsupported):
            backend.layer(u, ssm, asked)
    else:
        assert backend.application(asked) == "chunked"
        exact = fft_conv(u.double(), recurrence(ssm, "bilinear", 300))
        assert (backend.layer(u, ssm, asked) - exact).norm() <= 4 * tolerance(request) * exact.norm()


@pytest.mark.parametrize(
    ("structure", "state", "length", "channels", "expected"),
    [
        ("diagonal", 64, 1024, 1, "fft"),
        ("diagonal", 64, 65536, 1, "chunked"),
        ("diagonal", 4, 4096, 1, "chunked"),
        ("diagonal", 256, 4096, 1, "fft"),
        ("dplr", 64, 4096, 1, "fft"),
        ("dplr", 64, 16384, 1, "chunked"),
        ("dplr", 64, 16384, 2, "fft"),
        ("diagonal", 4, 4096, 2, "fft"),
    ],
)
def test_auto_applies_what_was_measured_to_be_faster(
    structure: str, state: int, length: int, channels: int, expected: str
) -> None:
    """Forward and backward together, the table in `crossover.py`."""
    request = request_for(structure, "zoh", "float32", Shape(length, 64, state // 2, channels))
    backend: Backend = lookup("backend", KERNELS, "auto")()
    assert backend.application(dataclasses.replace(request, application="auto")) == expected
