"""The two sums of the official S4 code's CUDA extension, with their gradients; complex64, J batched rows of n pairs.

    cauchy_mult_sym_fwd(v, z, w) -> (J, F)      sum_n v_n / (z - w_n) + conj(v_n) / (z - conj w_n),  z (F,) shared
    vand_log_mult_sym_fwd(v, x, L) -> (J, L)    2 Re sum_n v_n exp(l x_n),  float32

The backward of each takes the gradient of the output last and gives those of v and of w or x, in torch's convention.
Source: cauchy.cpp and cauchy_cuda.cu in extensions/kernels of github.com/state-spaces/s4 at e757cef.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from harness.kernels.generating import Nodes
from harness.kernels.s4_cuda import MODULE


def cauchy(v: torch.Tensor, d: torch.Tensor, nodes: Nodes) -> torch.Tensor:
    """g (J, H, F) of v (J, H, n), d (H, n): v / (y - c d) is v / (z - d) / c with z = y / c, and v / y at c = 0."""
    J, H = v.shape[:2]
    inside = nodes.c != 0
    c, y = nodes.c[inside], nodes.y[inside]
    rows = _rows(v), y / c, _rows(d.expand_as(v))
    g: torch.Tensor = _Cauchy.apply(*rows)  # type: ignore[no-untyped-call]
    at_minus_one = (2 * v.real.sum(-1, keepdim=True)) / nodes.y[~inside]
    return torch.cat((g.view(J, H, len(c)) / c, at_minus_one), dim=-1)


def vandermonde(w: torch.Tensor, x: torch.Tensor, length: int) -> torch.Tensor:
    """K (K, H, L) float32 of w (K, H, n), x (H, n)."""
    K, H = w.shape[:2]
    rows = _rows(w.to(torch.complex64)), _rows(x.to(torch.complex64).expand_as(w))
    kernel: torch.Tensor = _Vandermonde.apply(*rows, length)  # type: ignore[no-untyped-call]
    return kernel.view(K, H, length)


def _rows(value: torch.Tensor) -> torch.Tensor:
    """(J H, n) in memory as it reads: the extension sees neither strides' nor torch's lazy conjugates."""
    return value.flatten(0, 1).resolve_conj().contiguous()


class _Cauchy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: torch.Tensor, z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(v, z, w)
        g: torch.Tensor = importlib.import_module(MODULE).cauchy_mult_sym_fwd(v, z, w)
        return g

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: torch.Tensor) -> tuple[torch.Tensor, None, torch.Tensor]:
        v, z, w = ctx.saved_tensors
        dv, dw = importlib.import_module(MODULE).cauchy_mult_sym_bwd(v, z, w, G.resolve_conj().contiguous())
        return dv, None, dw


class _Vandermonde(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: torch.Tensor, x: torch.Tensor, length: int) -> torch.Tensor:
        ctx.save_for_backward(v, x)
        kernel: torch.Tensor = importlib.import_module(MODULE).vand_log_mult_sym_fwd(v, x, length)
        return kernel

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        v, x = ctx.saved_tensors
        dv, dx = importlib.import_module(MODULE).vand_log_mult_sym_bwd(v, x, G.contiguous())
        return dv, dx, None
