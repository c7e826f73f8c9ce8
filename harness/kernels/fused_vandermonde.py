"""Diagonal kernels in Triton: the two tables of `vandermonde.py` are formed on the chip and multiplied there.

With l = tB^2 + iB + j, 0 <= i, j < B = 64, a tile t of B^2 steps is

    K_{iB+j} = 2 Re sum_n (w_n exp(tB^2 x_n) exp(iB x_n)) exp(j x_n)

one product of a (B, 2n) and a (2n, B) matrix; each power of i and of j is again a product of two anchors, 8 and 8,
taken in float64 outside and rounded once. Only anchors are read and only K is written. A tile whose every anchor
exp(tB^2 x_n) has decayed to zero is zero and is not computed.

The backward pass forms the powers again: with W_i = sum_j G_ij exp(j x), W'_i = sum_j j G_ij exp(j x), p_i the rows,

    dw = 2 conj sum_t,i p_i W_i,    dx = 2 conj sum_t,i w p_i ((tB^2 + iB) W_i + W'_i)

in two stages, tiles and then their sum in a fixed order. Precision as in `fused_kernels.product`.

Compiled for sm_90 and run through the interpreter; not yet run on a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from harness.kernels.fused_kernels import product
from harness.kernels.vandermonde import anchors, complexes

B = 64
SMALL = 8
"""Anchors of a power: B = SMALL^2."""
WIDTH = 16


def vandermonde(w: torch.Tensor, x: torch.Tensor, length: int, precision: str = "tf32x3") -> torch.Tensor:
    """K_l = 2 Re sum_n w_n exp(l x_n): w (K, H, n), x (H, n) complex128 with Re x <= 0 -> (K, H, L) float32."""
    kernel: torch.Tensor = _Vandermonde.apply(w, x, length, precision)
    return kernel


class _Vandermonde(torch.autograd.Function):
    """Saves w and x alone."""

    @staticmethod
    def forward(ctx: Any, w: torch.Tensor, x: torch.Tensor, length: int, precision: str) -> torch.Tensor:
        ctx.save_for_backward(w, x)
        ctx.precision = precision
        K, H, n = w.shape
        first, powers = _anchors(x, length)
        first = _real(first * (2 * w[:, :, None]).to(first.dtype))
        out = torch.empty(K, H, length, dtype=torch.float32, device=w.device)
        with torch.cuda.device_of(w):
            expand[first.shape[2], H, K](first, powers, out, H, n, length, **expand_variant(n, precision))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        w, x = ctx.saved_tensors
        K, H, n = w.shape
        length = G.shape[-1]
        first, powers = _anchors(x, length)
        tiles = first.shape[1]
        sums = torch.empty(K, H, tiles, 2, 2 * n, dtype=torch.float32, device=w.device)
        with torch.cuda.device_of(w):
            constants = contract_variant(n, ctx.precision)
            contract[tiles, H, K](_real(first), powers, G.contiguous(), sums, H, n, length, **constants)
        S = complexes(sums.sum(2)).to(w.dtype)
        return 2 * S[:, :, 0].conj(), 2 * (w * S[:, :, 1]).sum(0).conj(), None, None


def _anchors(x: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """exp(tB^2 x) (H, tiles, n) complex64, and exp(s k x) (H, 4, 8, 2n) float32, s = 1, 8, B, 8B and k < 8."""
    floor = torch.finfo(torch.float32).tiny ** 0.25
    tiles = -(-length // (B * B))
    powers = [anchors(x, stride, SMALL, floor) for stride in (1, SMALL, B, SMALL * B)]
    return anchors(x, B * B, tiles, floor).to(torch.complex64), _real(torch.stack(powers, dim=1).to(torch.complex64))


def _real(z: torch.Tensor) -> torch.Tensor:
    """(..., n) complex as (..., 2n) real, contiguous."""
    return torch.view_as_real(z.resolve_conj().contiguous()).flatten(-2)


def expand_variant(n: int, precision: str) -> dict[str, Any]:
    """The constants and launch options of `expand`: modes WIDTH at a time, so that no register is spilled on sm_90."""
    options = {"num_warps": 4, "num_stages": 1, "enable_fp_fusion": True}
    return {"BLOCKS": -(-n // WIDTH), "WIDTH": WIDTH, "B": B, "SMALL": SMALL, "PRECISION": precision, **options}


def contract_variant(n: int, precision: str) -> dict[str, Any]:
    """The constants and launch options of `contract`."""
    return {**expand_variant(n, precision), "num_warps": 8 if precision == "ieee" else 4}


@triton.jit
def power(anchors, coarse: tl.constexpr, k, m, known, n, SMALL: tl.constexpr):
    """Real and imaginary parts of exp(s k x_m), k = 8a + b, from anchors a of row `coarse` and b of the one before."""
    a = anchors + (coarse * SMALL + k // SMALL) * 2 * n + 2 * m
    b = anchors + ((coarse - 1) * SMALL + k % SMALL) * 2 * n + 2 * m
    ar, ai = tl.load(a, mask=known, other=0.0), tl.load(a + 1, mask=known, other=0.0)
    br, bi = tl.load(b, mask=known, other=0.0), tl.load(b + 1, mask=known, other=0.0)
    return ar * br - ai * bi, ar * bi + ai * br


@triton.jit
def expand(
    first,
    anchors,
    out,
    heads,
    n,
    length,
    BLOCKS: tl.constexpr,
    WIDTH: tl.constexpr,
    B: tl.constexpr,
    SMALL: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Grid (tiles, H, K): first (K, H, tiles, 2n) = 2 w exp(tB^2 x), anchors (H, 4, 8, 2n), out (K, H, length)."""
    tile, h, channel = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    line = channel * heads + h
    i = tl.arange(0, B)
    kernel = tl.zeros((B, B), tl.float32)
    for block in range(BLOCKS):
        m = block * WIDTH + tl.arange(0, WIDTH)
        known = m < n
        spot = first + (line * tl.num_programs(0) + tile) * 2 * n + 2 * m
        wr, wi = tl.load(spot, mask=known, other=0.0), tl.load(spot + 1, mask=known, other=0.0)
        if tl.max(tl.abs(wr) + tl.abs(wi), 0) > 0:
            table = anchors + h * 4 * SMALL * 2 * n
            pr, pi = power(table, 3, i[:, None], m[None, :], known[None, :], n, SMALL)
            qr, qi = power(table, 1, i[None, :], m[:, None], known[:, None], n, SMALL)
            kernel = product(wr[None, :] * pr - wi[None, :] * pi, qr, kernel, PRECISION)
            kernel = product(-(wr[None, :] * pi + wi[None, :] * pr), qi, kernel, PRECISION)
    l = tile * B * B + i[:, None] * B + i[None, :]  # noqa: E741
    tl.store(out + line.to(tl.int64) * length + l, kernel, mask=l < length)


@triton.jit
def contract(
    first,
    anchors,
    G,
    sums,
    heads,
    n,
    length,
    BLOCKS: tl.constexpr,
    WIDTH: tl.constexpr,
    B: tl.constexpr,
    SMALL: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Grid (tiles, H, K): first (H, tiles, 2n) = exp(tB^2 x), G (K, H, length), sums (K, H, tiles, 2, 2n)."""
    tile, h, channel = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    line = channel * heads + h
    i = tl.arange(0, B)
    l = tile * B * B + i[:, None] * B + i[None, :]  # noqa: E741
    g = tl.load(G + line.to(tl.int64) * length + l, mask=l < length, other=0.0)
    zero = tl.zeros((B, WIDTH), tl.float32)
    table = anchors + h * 4 * SMALL * 2 * n
    start = (tile * B * B + i * B).to(tl.float32)[:, None]
    for block in range(BLOCKS):
        m = block * WIDTH + tl.arange(0, WIDTH)
        known = m < n
        spot = first + (h * tl.num_programs(0) + tile) * 2 * n + 2 * m
        wr, wi = tl.load(spot, mask=known, other=0.0)[None, :], tl.load(spot + 1, mask=known, other=0.0)[None, :]
        pr, pi = power(table, 3, i[:, None], m[None, :], known[None, :], n, SMALL)
        pr, pi = wr * pr - wi * pi, wr * pi + wi * pr
        qr, qi = power(table, 1, i[:, None], m[None, :], known[None, :], n, SMALL)
        Wr, Wi = product(g, qr, zero, PRECISION), product(g, qi, zero, PRECISION)
        into = sums + (line * tl.num_programs(0) + tile) * 4 * n + 2 * m
        tl.store(into, tl.sum(pr * Wr - pi * Wi, 0), mask=known)
        tl.store(into + 1, tl.sum(pr * Wi + pi * Wr, 0), mask=known)
        j = i.to(tl.float32)[:, None]
        Vr = product(g, j * qr, start * Wr, PRECISION)
        Vi = product(g, j * qi, start * Wi, PRECISION)
        tl.store(into + 2 * n, tl.sum(pr * Vr - pi * Vi, 0), mask=known)
        tl.store(into + 2 * n + 1, tl.sum(pr * Vi + pi * Vr, 0), mask=known)
