"""Applying a kernel to a sequence: causal and bidirectional convolution by FFT."""

from __future__ import annotations

import torch

from harness.errors import UsageError


def fft_conv(u: torch.Tensor, k: torch.Tensor, bidirectional: bool = False) -> torch.Tensor:
    """y (B, H, L) of u (B, H, L) and k (1, H, L), or k (2, H, L) when bidirectional.

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
    kernel = k[0]
    if bidirectional:
        # Lag -1-m sits at n-1-m of a circular kernel; n >= 2L keeps the two halves apart.
        kernel = torch.cat((k[0], k.new_zeros(k.shape[1], n - 2 * L), k[1].flip(-1)), dim=-1)
    spectrum = torch.fft.rfft(u, n=n) * torch.fft.rfft(kernel, n=n)
    y: torch.Tensor = torch.fft.irfft(spectrum, n=n)[..., :L]
    return y


def fast_size(n: int) -> int:
    """The smallest even 2^a 3^b 5^c that is at least n: lengths the FFT libraries have short code for."""
    best = 1 << (n - 1).bit_length()
    for odd in (3**b * 5**c for b in range(21) for c in range(14)):
        if odd < n:
            best = min(best, odd << max(1, (-(-n // odd) - 1).bit_length()))
    return best
