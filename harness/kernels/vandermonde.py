"""Diagonal kernels as a batched real matrix product of two small tables of powers.

With l = iJ + j, 0 <= j < J, and x = log Abar, w = C Bbar,

    K_{iJ+j} = 2 Re sum_n (w_n exp(iJ x_n)) exp(j x_n) = [Re p, Im p]_i . [2 Re q, -2 Im q]_j

so that only about 2 sqrt(L) powers per mode are formed, and each of those is again a product of two: 4 L^(1/4)
exponentials, taken in float64 (their phase l Im x reaches 1e5 radians, where float32 has lost three digits),
then rounded to the compute dtype.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable


def vandermonde(w: torch.Tensor, x: torch.Tensor, length: int, dtype: torch.dtype) -> torch.Tensor:
    """K_l = 2 Re sum_n w_n exp(l x_n): w (K, H, n), x (H, n) complex128 with Re x <= 0 -> (K, H, L) in `dtype`."""
    kernel: torch.Tensor = _Vandermonde.apply(w, x, length, dtype)  # type: ignore[no-untyped-call]
    return kernel


class _Vandermonde(torch.autograd.Function):
    """Saves w and x alone; the tables are formed again in the backward pass, where they are cheap."""

    @staticmethod
    def forward(ctx: Any, w: torch.Tensor, x: torch.Tensor, length: int, dtype: torch.dtype) -> torch.Tensor:
        ctx.save_for_backward(w, x)
        K, H, n = w.shape
        J, I = _split(length, K)  # noqa: E741
        p = powers(x, J, I, dtype)[:, None] * (2 * w.transpose(0, 1)[:, :, None]).to(dtype.to_complex())
        q = powers(x, 1, J, dtype).conj()
        kernel = pairs(p.reshape(H, K * I, n)) @ pairs(q).transpose(1, 2)
        return kernel.reshape(H, K, I * J)[..., :length].transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        """dw_n = 2 conj sum_l G_l exp(l x_n) and dx_n = 2 conj sum_l G_l w_n l exp(l x_n), with l = iJ + j."""
        w, x = ctx.saved_tensors
        K, H, n = w.shape
        length, dtype = G.shape[-1], G.dtype
        J, I = _split(length, K)  # noqa: E741
        p, q = powers(x, J, I, dtype), powers(x, 1, J, dtype)
        j, iJ = (step * torch.arange(count, dtype=dtype, device=x.device) for step, count in ((1, J), (J, I)))
        # Both sums in one product each way: columns weighted by (1, j), then rows by (1, iJ).
        columns = (q[:, :, None] * torch.stack((torch.ones_like(j), j), dim=1)[..., None]).flatten(2)
        rows = torch.nn.functional.pad(G.transpose(0, 1), (0, I * J - length)).reshape(H, K * I, J)
        inner = torch.view_as_complex((rows @ pairs(columns)).view(H, K, I, 2, n, 2)) * p[:, None, :, None]
        sums = torch.stack((torch.ones_like(iJ), iJ)) @ torch.view_as_real(inner).reshape(H * K, I, 4 * n)
        S = torch.view_as_complex(sums.view(H, K, 2, 2, n, 2)).permute(2, 3, 1, 0, 4).to(w.dtype)
        return 2 * S[0, 0].conj(), 2 * (w * (S[1, 0] + S[0, 1])).sum(0).conj(), None, None


def powers(x: torch.Tensor, stride: int, count: int, dtype: torch.dtype) -> torch.Tensor:
    """exp(stride m x) for m < count: x (H, n) complex128 -> (H, count, n) complex of `dtype`.

    An anchor below tiny^(1/4) is zero, so that no product of four anchors is subnormal: subnormal operands cost
    a CPU a factor of three, and what is dropped is below the dtype's rounding of the largest entry.
    """
    fine = 2 ** math.ceil(math.log2(count) / 2)
    coarse = -(-count // fine)
    floor = torch.finfo(dtype).tiny ** 0.25
    giant, baby = anchors(x, stride * fine, coarse, floor), anchors(x, stride, fine, floor)
    giant, baby = giant.to(dtype.to_complex()), baby.to(dtype.to_complex())
    return (giant[:, :, None] * baby[:, None]).flatten(1, 2)[:, :count]


def anchors(x: torch.Tensor, stride: int, count: int, floor: float) -> torch.Tensor:
    """exp(stride m x) for m < count in float64, zero where below `floor`: x (H, n) -> (H, count, n) complex128."""
    m = stride * torch.arange(count, dtype=torch.float64, device=x.device)[:, None]
    modulus, phase = torch.exp(m * x.real[:, None]), m * x.imag[:, None]
    modulus = torch.where(modulus < floor, 0.0, modulus)
    # Real exp, cos and sin are vectorised on the CPU; torch's complex exp is not, and is a hundred times slower.
    return torch.complex(modulus * torch.cos(phase), modulus * torch.sin(phase))


def pairs(table: torch.Tensor) -> torch.Tensor:
    """(..., n) complex as (..., 2n) real, re and im interleaved; a . conj(b) over pairs is Re(ab)."""
    return torch.view_as_real(table.resolve_conj()).flatten(-2)


def complexes(table: torch.Tensor) -> torch.Tensor:
    """(..., 2n) real, re and im interleaved, as (..., n) complex."""
    return torch.view_as_complex(table.reshape(*table.shape[:-1], -1, 2))


def _split(length: int, channels: int) -> tuple[int, int]:
    """J, a power of two near sqrt(channels L), which balances the two tables, and I = ceil(L / J)."""
    J = 2 ** round(math.log2(channels * length) / 2)
    return J, -(-length // J)
