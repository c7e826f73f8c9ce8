"""A layer without its length-L kernel: chunks of Q steps, each a few matrix products, the state passed on between them.

With u_c (Q,) the inputs of chunk c and x_c the state before it,

    y_c = T u_c + O x_c           T_ij = K_{i-j} (i >= j),   O_i = C Abar^(i+1)
    x_{c+1} = Abar^Q x_c + E u_c   E_j = Abar^(Q-1-j) Bbar

so that a sequence costs 2 Q + 4 S operations an element, whatever its length, and a state can be taken in and given out.
It is the layout of state space duality (Dao, Gu 2024, section 6) for a time-invariant A, where T, O and E are tables.

Legend: M sequences, H heads, G chunks, Q steps of a chunk, S real numbers of a state: 2n for a diagonal A (re, im
interleaved), N for a dense one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from harness.kernels.backend import Request, StateSpace

Kernel = Callable[[StateSpace, Request], torch.Tensor]


class Tables(NamedTuple):
    """The constants of one direction, in the compute dtype, differentiable."""

    T: torch.Tensor
    """(H, Q, Q), T[j, i] = K_{i-j}: a row of inputs times T is a row of outputs."""
    E: torch.Tensor
    """(H, Q, S): a row of inputs times E is what the chunk adds to the state."""
    O: torch.Tensor
    """(H, S, Q): the state before the chunk, a row, times O is what it adds to the outputs."""
    A: torch.Tensor
    """Abar^Q: (H, n) complex for a diagonal A; (H, N, N) real for a dense one, x -> A x."""


class Run(NamedTuple):
    """y (M, H, G Q), and the state (M, H, S) after the last chunk."""

    y: torch.Tensor
    x: torch.Tensor


def chunked(u: torch.Tensor, ssm: StateSpace, request: Request, kernel: Kernel) -> torch.Tensor:
    raise RuntimeError("written next")
