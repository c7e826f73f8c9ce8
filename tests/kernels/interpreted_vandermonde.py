"""Diagonal kernels generated on the chip against the float64 sum, through Triton's interpreter.

Run by `test_triton_interpreted.py` in a process of its own, where TRITON_INTERPRET=1 precedes the import of triton.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from kernel_cases import SHAPES, Shape, band, request_for, sample

from harness.kernels.fused_vandermonde import vandermonde
from harness.kernels.krylov import Krylov
from harness.kernels.reference import recurrence
from harness.kernels.triton_backend import Triton
from harness.kernels.vandermonde import vandermonde as plain

UNIT = {"tf32x3": 2.0**-22, "ieee": 2.0**-24, "tf32": 2.0**-9}
"""The error of one product of the tables, as in `interpreted_chunk.py`."""
ENTRY = 6 * 2.0**-24
"""Of an entry: three rounded anchors and two products of three roundings each, as a sum of squares less than six."""


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    """Every uninitialised tensor is full of NaN: what a kernel forgets to write is seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def modes(channels: int, heads: int, n: int, damping: float) -> tuple[torch.Tensor, torch.Tensor]:
    """w (K, H, n) and x (H, n): frequencies 0, 0.3, 0.6, ... a step."""
    draw = torch.Generator().manual_seed(n)
    w = torch.randn(channels, heads, n, generator=draw, dtype=torch.complex128)
    x = torch.complex(
        torch.full((heads, n), -damping, dtype=torch.float64), 0.3 * torch.arange(n).double().expand(heads, n)
    )
    return w.requires_grad_(), x.requires_grad_()


def outcome(kernel: torch.Tensor, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    weights = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return [kernel.detach(), *torch.autograd.grad((kernel * weights).sum(), inputs)]


@pytest.mark.parametrize(
    ("channels", "heads", "n", "length", "damping", "precision"),
    [
        (1, 1, 1, 2, 0.1, "tf32x3"),
        (2, 2, 3, 97, 0.1, "tf32x3"),
        (2, 2, 32, 4096, 0.01, "tf32x3"),
        (1, 1, 40, 4099, 0.01, "tf32x3"),
        (1, 1, 128, 100, 0.1, "tf32x3"),
        (1, 1, 32, 16384, 0.0, "tf32x3"),
        (1, 1, 32, 16384, 0.0, "ieee"),
        (1, 1, 32, 16384, 0.0, "tf32"),
        (1, 1, 32, 16384, 0.05, "tf32x3"),
    ],
)
def test_a_kernel_and_its_gradients_are_the_float64_sum(
    channels: int, heads: int, n: int, length: int, damping: float, precision: str
) -> None:
    inputs = modes(channels, heads, n, damping)
    found = outcome(vandermonde(*inputs, length, precision), inputs)
    true = outcome(plain(*inputs, length, torch.float64), inputs)
    # 2n products are added for an entry; a gradient adds 64 of a tile, twice, and then the tiles.
    bound = UNIT[precision] + ENTRY + 2.0**-24 * (2 * n + 128) ** 0.5
    for name, one, other in zip(("K", "w", "x"), found, true, strict=True):
        error = float((one - other).norm() / other.norm())
        assert error <= bound, f"{name} is off by {error:.1e}, and {bound:.1e} is allowed"


def test_a_decayed_tile_is_zero_and_so_are_its_gradients() -> None:
    inputs = modes(1, 1, 4, 1.0)
    kernel = vandermonde(*inputs, 3 * 4096, "tf32x3")
    assert (kernel[..., 4096:] == 0).all()
    late = torch.autograd.grad(kernel[..., 4096:].sum(), inputs)
    assert all((gradient == 0).all() for gradient in late)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"L{shape.length}")
@pytest.mark.parametrize("rule", ["zoh", "bilinear"])
def test_a_kernel_of_the_backend_is_the_recurrence(rule: str, shape: Shape) -> None:
    request = request_for("diagonal", rule, "float32", shape)
    ssm = sample(request)
    kernel = Triton().kernel(ssm, request)
    true = recurrence(ssm, rule, shape.length)
    assert float((kernel - true).norm() / true.norm()) <= UNIT["tf32x3"] + band(request)


@pytest.mark.parametrize("structure", ["dplr", "dense"])
def test_kernels_of_matrices_are_those_of_krylov(structure: str) -> None:
    request = request_for(structure, "bilinear", "float32", SHAPES[3])
    ssm = sample(request)
    assert torch.equal(Triton().kernel(ssm, request), Krylov().kernel(ssm, request))
