"""Applying a kernel to a sequence: causal and bidirectional convolution by FFT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from harness.errors import UsageError

SLICE = 2**18
"""Numbers of u that a processor transforms at a time: they, their spectrum and the result stay in its cache."""
LEAST_HEADS = 64
"""Of a slice: where heads lie side by side in memory, taking fewer out of it costs more than the cache saves."""


def fft_conv(u: torch.Tensor, k: torch.Tensor, bidirectional: bool = False) -> torch.Tensor:
    """y (B, H, L), laid out as u is, of u (B, H, L) and k (1, H, L), or k (2, H, L) when bidirectional.

        causal          y_t = sum_{s <= t} k0_{t-s} u_s
        bidirectional   y_t = sum_{s <= t} k0_{t-s} u_s + sum_{s > t} k1_{s-t-1} u_s

    The reversed kernel starts one step before t (S4's convention), so that u_t itself counts once.
    Raises UsageError when the number of channels does not fit the direction or the lengths differ.
    """
    L = u.shape[-1]
    channels = 2 if bidirectional else 1
    if k.shape[0] != channels or k.shape[-1] != L:
        raise UsageError(
            f"A {'bidirectional' if bidirectional else 'causal'} convolution of length {L} needs a kernel of shape "
            f"({channels}, H, {L}), but got {tuple(k.shape)}. Ask the backend for that many channels and that length."
        )
    n = fast_size(2 * L)
    # Lag -1-m sits at n-1-m of a circular kernel; n >= 2L keeps the two halves apart.
    parts = (k[0], k.new_zeros(k.shape[1], n - channels * L), *([k[1].flip(-1)] if bidirectional else []))
    dtype = torch.promote_types(u.dtype, k.dtype)
    y: torch.Tensor = _Circular.apply(u.to(dtype), torch.cat(parts, dim=-1).to(dtype))  # type: ignore[no-untyped-call]
    return y


class _Circular(torch.autograd.Function):
    """y_t = sum_s c_{(t-s) mod n} u_s for t < L, of u (B, H, L) and c (H, n), slice by slice.

        y = F^-1 (C U)      du = F^-1 (conj C  G)      dc = F^-1 sum_b conj U_b  G_b

    with capitals for the transforms of length n, G that of the gradient of y. U is made again instead of saved, which
    is twice the size of u and no slower; autograd's own way back transforms all n frequencies of a real sequence.
    """

    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        n, C, y = c.shape[-1], torch.fft.rfft(c), torch.empty_like(u)
        for at in _slices(u):
            U = torch.fft.rfft(u[at], n=n)
            y[at] = torch.fft.irfft(U.mul_(C[at[1]]), n=n)[..., : u.shape[-1]]
        ctx.save_for_backward(u, C)
        ctx.n = n
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        u, C = ctx.saved_tensors
        n, conjugate = ctx.n, torch.conj_physical(C)
        du, dC = torch.empty_like(u), torch.zeros_like(C)
        for at in _slices(u):
            G = torch.fft.rfft(gy[at], n=n)
            dC[at[1]] += torch.conj_physical(torch.fft.rfft(u[at], n=n)).mul_(G).sum(0)
            du[at] = torch.fft.irfft(G.mul_(conjugate[at[1]]), n=n)[..., : u.shape[-1]]
        return du, torch.fft.irfft(dC, n=n)


def _slices(u: torch.Tensor) -> Iterator[tuple[slice, slice]]:
    """Sequences and heads of u (B, H, L) to take together; all of them where there is no such cache."""
    B, H, L = u.shape
    size = SLICE if u.device.type == "cpu" else u.numel()
    heads = min(H, max(LEAST_HEADS, size // L))
    sequences = max(1, size // (H * L)) if heads == H else 1
    for b in range(0, B, sequences):
        for h in range(0, H, heads):
            yield slice(b, b + sequences), slice(h, h + heads)


def fast_size(n: int) -> int:
    """The smallest even 2^a 3^b 5^c that is at least n: lengths the FFT libraries have short code for."""
    best = 1 << (n - 1).bit_length()
    for odd in (3**b * 5**c for b in range(21) for c in range(14)):
        if odd < n:
            best = min(best, odd << max(1, (-(-n // odd) - 1).bit_length()))
    return best
