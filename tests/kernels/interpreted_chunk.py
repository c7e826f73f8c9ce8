"""The fused sweep and its gradients against the float64 formulas, through Triton's interpreter.

Run by `test_triton_interpreted.py` in a process of its own, where TRITON_INTERPRET=1 precedes the import of triton.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import pytest
import torch
from kernel_cases import Shape, request_for, sample

from harness.kernels import chunked, fused_chunk
from harness.kernels.apply import fft_conv
from harness.kernels.backend import Request
from harness.kernels.chunked import Run
from harness.kernels.probe import probe
from harness.kernels.reference import recurrence
from harness.kernels.tables import Tables
from harness.kernels.triton_backend import Triton

Given = tuple[torch.Tensor, Tables, torch.Tensor]
UNIT = {"tf32x3": 2.0**-22, "ieee": 2.0**-24, "tf32": 2.0**-9}
"""The error of one product: two truncated operands of 11 bits in tf32, the dropped tail tail of tf32x3."""
NAMES = ("y", "x", "u", "T", "E", "O", "A", "x0")


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """Every uninitialised tensor is full of NaN: what a kernel forgets to write is seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def given(dense: bool, M: int, L: int, Q: int, S: int, H: int = 2) -> Given:
    """u (M, H, L), undamped tables and a state, all float64 leaves."""
    draw = torch.Generator().manual_seed(M + L)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    if dense:
        A = torch.linalg.qr(normal(H, S, S)).Q
    else:
        A = torch.polar(torch.ones(H, S // 2, dtype=torch.float64), 3 * normal(H, S // 2))
    parts = [normal(M, H, L), normal(H, Q, Q).triu(), normal(H, Q, S), normal(H, S, Q), A, normal(M, H, S)]
    u, T, E, O, A, x = (part.requires_grad_() for part in parts)  # noqa: E741
    return u, Tables(T, E, O, A), x


def rounded(case: Given) -> Given:
    """The same leaves in the dtypes of the backend."""

    def leaf(value: torch.Tensor) -> torch.Tensor:
        return value.detach().clone().requires_grad_()

    u, (T, E, O, A), x = case  # noqa: E741
    return leaf(u.float()), Tables(*(leaf(table.float()) for table in (T, E, O)), leaf(A)), leaf(x)


def exact(case: Given) -> Run:
    """y_c = u_c T + x_c O and x_{c+1} = A x_c + u_c E, chunk by chunk in float64, of the float32 leaves' values."""
    u, (T, E, O, A), x = case  # noqa: E741
    L, Q = u.shape[-1], T.shape[-1]
    ys = []
    for chunk in torch.nn.functional.pad(u, (0, -L % Q)).split(Q, dim=-1):
        ys.append(torch.einsum("mhq,hqr->mhr", chunk, T) + torch.einsum("mhs,hsq->mhq", x, O))
        if A.is_complex():
            turned = torch.view_as_real(A * torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())).flatten(-2)
        else:
            turned = torch.einsum("hij,mhj->mhi", A, x)
        x = turned + torch.einsum("mhq,hqs->mhs", chunk, E)
    return Run(torch.cat(ys, dim=-1)[..., :L], x)


def outcome(run: Run, case: Given) -> list[torch.Tensor]:
    """y, the last state, and the gradients of a fixed random functional of both in every input."""
    draw = torch.Generator().manual_seed(5)
    wy, wx = (torch.randn(part.shape, generator=draw, dtype=torch.float64) for part in run)
    u, tables, x = case
    gradients = torch.autograd.grad((run.y * wy).sum() + (run.x * wx).sum(), (u, *tables, x))
    return [run.y.detach(), run.x.detach(), *gradients]


def tolerance(M: int, L: int, Q: int, S: int, precision: str) -> float:
    """Of a result in norm. A sum of K products is off by a product's own error and, its additions rounding at random,
    by sqrt(K) of float32's unit; K is Q + S and, since a state is rounded once a chunk and a table's gradient is a sum
    over chunks, their number. Into state, along, out of it and into a gradient are four stages, whose errors add as
    squares: twice."""
    return 2 * (UNIT[precision] + 2.0**-24 * math.sqrt(Q + S + M * -(-L // Q)))


def double(case: Given) -> Given:
    u, (T, E, O, A), x = case  # noqa: E741
    wide = [part.detach().to(torch.float64).requires_grad_() for part in (u, T, E, O)]
    return wide[0], Tables(*wide[1:], A.detach().requires_grad_()), x.detach().requires_grad_()


SIZES = [
    # M, L, Q, S: unit and prime lengths, a whole block, rows past 16, a state of 2; the last has 3 segments.
    (1, 1, 16, 4),
    (2, 7, 16, 2),
    (3, 131, 64, 32),
    (2, 192, 64, 64),
    (17, 97, 32, 10),
    (1, 389, 16, 6),
]
CASES = [
    pytest.param(sizes, precision, marks=[] if precision == "tf32x3" or sizes == SIZES[2] else [pytest.mark.long])
    for sizes in SIZES
    for precision in ("tf32x3", "ieee", "tf32")
]


@pytest.mark.parametrize(("sizes", "precision"), CASES)
@pytest.mark.parametrize("dense", [False, True])
def test_a_run_and_its_gradients_are_the_float64_formulas(
    dense: bool, sizes: tuple[int, int, int, int], precision: fused_chunk.Precision
) -> None:
    M, L, Q, S = sizes
    case = rounded(given(dense, M, L, Q, S))
    wide = double(case)
    found = outcome(fused_chunk.run(*case, precision), case)
    true = outcome(exact(wide), wide)
    for name, one, other in zip(NAMES, found, true, strict=True):
        error = float((one - other).norm() / other.norm())
        assert error <= tolerance(M, L, Q, S, precision), f"{name} is off by {error:.1e}"


def test_a_diagonal_state_of_256_is_the_sum_of_its_blocks() -> None:
    case = rounded(given(False, 1, 70, 16, 250, H=1))
    wide = double(case)
    for one, other in zip(outcome(fused_chunk.run(*case), case), outcome(exact(wide), wide), strict=True):
        assert float((one - other).norm() / other.norm()) <= tolerance(1, 70, 16, 250, "tf32x3")


@pytest.mark.parametrize("dense", [False, True])
def test_two_pieces_with_the_state_between_are_the_whole(dense: bool) -> None:
    u, tables, x = rounded(given(dense, 2, 96, 16, 8))
    whole = fused_chunk.run(u, tables, x)
    first = fused_chunk.run(u[..., :48], tables, x)
    second = fused_chunk.run(u[..., 48:], tables, first.x)
    assert torch.equal(torch.cat((first.y, second.y), dim=-1), whole.y)
    assert torch.equal(second.x, whole.x)


@pytest.mark.parametrize("dense", [False, True])
def test_a_sequence_does_not_depend_on_its_batch(dense: bool) -> None:
    u, tables, x = rounded(given(dense, 18, 40, 16, 8, H=1))
    together = fused_chunk.run(u, tables, x)
    for m in (0, 17):
        alone = fused_chunk.run(u[m : m + 1], tables, x[m : m + 1])
        assert torch.equal(alone.y[0], together.y[m]) and torch.equal(alone.x[0], together.x[m])


@pytest.mark.parametrize("dense", [False, True])
def test_segments_change_no_more_than_rounding(dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    case = rounded(given(dense, 1, 300, 16, 8, H=1))
    cut = outcome(fused_chunk.run(*case), case)
    monkeypatch.setattr(fused_chunk, "most_segments", lambda M, H: 1)
    for one, other in zip(cut, outcome(fused_chunk.run(*case), case), strict=True):
        assert float((one - other).norm() / other.norm()) <= tolerance(1, 300, 16, 8, "tf32x3")


@pytest.mark.parametrize("dense", [False, True])
def test_an_undamped_state_keeps_its_phase_over_512_chunks(dense: bool) -> None:
    case = rounded(given(dense, 1, 8192, 16, 4, H=1))
    run, true = fused_chunk.run(*case), exact(double(case))
    assert float((run.x - true.x).detach().norm() / true.x.detach().norm()) <= tolerance(1, 8192, 16, 4, "tf32x3")


@pytest.mark.parametrize("precision", ["tf32x3", "ieee"])
def test_a_nan_in_the_input_reaches_every_later_output(precision: fused_chunk.Precision) -> None:
    u, tables, x = rounded(given(False, 1, 64, 16, 4))
    # The NaN that a GPU makes, all of whose bits are set: adding to them would turn it into a zero.
    u.data[0, 0, 20] = torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32)
    y = fused_chunk.run(u, tables, x, precision).y
    assert y[0, 0, 32:].isnan().all() and not y[0, 1].isnan().any()


@pytest.mark.parametrize("length", [1, 150])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("structure", ["diagonal", "dplr", "dense"])
def test_a_layer_is_the_convolution_by_the_recurrence(structure: str, channels: int, length: int) -> None:
    request = request_for(structure, "bilinear", "float32", Shape(length, 2, 3, channels))
    asked: Request = dataclasses.replace(request, application="chunked")
    ssm = sample(request)
    u = torch.randn(3, 2, length, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = Triton().layer(u, ssm, asked)
    plain = chunked.chunked(u, ssm, dataclasses.replace(asked, dtype="float32"))
    true = fft_conv(u.double(), recurrence(ssm, "bilinear", length), channels == 2)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    inputs = (u, *vars(ssm).values())
    mine, theirs = (torch.autograd.grad((one * weights).sum(), inputs) for one in (y, plain))
    bound = tolerance(3, length, 64, 6, "tf32x3")
    assert float((y - true).detach().norm() / true.detach().norm()) <= bound
    # The gradient of dt is a sum that cancels: judged beside the gradient of A, of which it is made.
    sizes = [other.norm() for other in theirs]
    sizes[-1] = float(ssm.A.detach().norm() * theirs[1].norm() / ssm.dt.detach().norm())
    for one, other, size in zip(mine, theirs, sizes, strict=True):
        assert float((one - other).norm() / size) <= 2 * bound


def test_the_backend_passes_its_probe_under_the_interpreter() -> None:
    assert probe("triton").ran
