"""A layer without its length-L kernel: chunks of Q steps, each a few matrix products, the state passed on between them.

With u_c (Q,) the inputs of chunk c and x_c the state before it, as rows,

    y_c = u_c T + x_c O             T_ji = K_{i-j} (i >= j),    O_i = C Abar^(i+1)
    x_{c+1} = Abar^Q x_c + u_c E    E_j = Abar^(Q-1-j) Bbar

so that a sequence costs 2 Q + 4 S operations an element, whatever its length, and a state is taken in and given out
exactly.

Legend: M sequences, H heads, G chunks, Q steps of a chunk, S real numbers of a state: 2n for a diagonal A (re, im
interleaved), N for a dense one.

Source: the layout of state space duality (Dao, Gu 2024, section 6); its tables are constants where A does not depend
on u.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from harness.kernels.backend import Discretization, Request, StateSpace
from harness.kernels.crossover import chunk_steps
from harness.kernels.parts import part
from harness.kernels.tables import Tables, power, tables
from harness.kernels.vandermonde import complexes, pairs

Runner = Callable[[torch.Tensor, Tables, torch.Tensor], "Run"]


class Run(NamedTuple):
    """y (M, H, G Q) in the compute dtype, and the state (M, H, S) float64 after the last chunk."""

    y: torch.Tensor
    x: torch.Tensor


def chunked(
    u: torch.Tensor, ssm: StateSpace, request: Request, runner: Runner | None = None, Q: int | None = None
) -> torch.Tensor:
    """y (M, H, L) of u (M, H, L) from rest, causal or bidirectional as in `apply.fft_conv`; L is arbitrary."""
    L = u.shape[-1]
    Q = Q or chunk_steps(request.state, L)
    u = torch.nn.functional.pad(u, (0, -L % Q)) if L % Q else u
    with part("kernel"):
        directions = tables(ssm, request.discretization, Q, u.dtype)
    rest = u.new_zeros(*u.shape[:2], directions[0].E.shape[-1], dtype=torch.float64)
    go = runner or run
    y = go(u, directions[0], rest).y
    if len(directions) == 2:
        # z_t = sum_{s >= t} k1_{s-t} u_s; the reversed kernel starts one step before t.
        z = go(u.flip(-1), directions[1], rest).y.flip(-1)
        y = y + torch.nn.functional.pad(z[..., 1:], (0, 1))
    return y[..., :L]


def advance(u: torch.Tensor, ssm: StateSpace, discretization: Discretization, x: torch.Tensor) -> Run:
    """y (M, H, L) and the state after u (M, H, L), from the state x (M, H, S) float64; L is arbitrary."""
    L = u.shape[-1]
    Q = chunk_steps(x.shape[-1], L)
    (one,) = tables(ssm, discretization, Q, u.dtype)
    tail = L % Q
    y, x = run(u[..., : L - tail], one, x)
    if tail:
        rest = torch.nn.functional.pad(u[..., L - tail :], (0, Q - tail))
        last = run(rest, one, x).y[..., :tail]
        # E ends with the powers that the last steps of a chunk are weighted by, whatever its length.
        added = torch.einsum("mhq,hqs->mhs", rest[..., :tail], one.E[:, Q - tail :])
        y, x = torch.cat((y, last), dim=-1), _moved(power(ssm, discretization, tail), x) + added
    return Run(y, x)


def run(u: torch.Tensor, tables: Tables, x: torch.Tensor) -> Run:
    """All chunks of u (M, H, G Q) from the state x (M, H, S) float64; differentiable in everything.

    The state is carried in double precision, which costs little beside the products: rounded to float32 at every chunk,
    an undamped mode would have lost G roundings at the end.
    """
    y, last = _Run.apply(u, x, *tables)  # type: ignore[no-untyped-call]
    return Run(y, last)


class _Run(torch.autograd.Function):
    """Saves the states before every chunk, which are S/Q of the size of u."""

    @staticmethod
    def forward(
        ctx: Any,
        u: torch.Tensor,
        x: torch.Tensor,
        T: torch.Tensor,
        E: torch.Tensor,
        O: torch.Tensor,  # noqa: E741
        A: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        Q = T.shape[-1]
        states, last = _scan(_products(u, E), A, x)
        y = torch.empty_like(u)
        for m, state in enumerate(states):
            y[m] = torch.bmm(_rows(u[m], Q), T).baddbmm_(state, O).flatten(1)
        ctx.save_for_backward(u, states, T, E, O, A)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: torch.Tensor, glast: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The same scan from the other end: with g_c the gradient of x_c, g_c = A^* g_{c+1} + gy_c O^T."""
        u, states, T, E, O, A = ctx.saved_tensors  # noqa: E741
        Q = T.shape[-1]
        adjoint = A.conj() if A.is_complex() else A.mT
        # Reversed in time, `after` holds g_{c+1}, what chunk c's own state gradient is made of.
        after, gx = _scan(_products(gy, O.mT), adjoint, glast, reverse=True)
        gu = torch.empty_like(u)
        # Contiguous, or every product with them would be taken head by head.
        gT, gE, gO = (torch.zeros_like(table, memory_format=torch.contiguous_format) for table in (T, E, O))
        for m in range(len(u)):
            row, gradient = _rows(u[m], Q), _rows(gy[m], Q)
            gu[m] = torch.bmm(gradient, T.mT).baddbmm_(after[m], E.mT).flatten(1)
            gT.baddbmm_(row.mT, gradient)
            gE.baddbmm_(row.mT, after[m])
            gO.baddbmm_(states[m].mT, gradient)
        return gu, gx, gT, gE, gO, _outer(after, states, A)


def _rows(u: torch.Tensor, Q: int) -> torch.Tensor:
    """u (H, G Q) as chunks (H, G, Q), contiguous: of any other layout a batched product is taken head by head."""
    return u.contiguous().view(len(u), u.shape[-1] // Q, Q)


def _products(u: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Chunks of u (M, H, G Q) times table (H, Q, S), sequence by sequence, so that no weight is copied M times."""
    M, H, L = u.shape
    _, Q, S = table.shape
    out = u.new_empty(M, H, L // Q, S)
    for m in range(M):
        torch.bmm(_rows(u[m], Q), table, out=out[m])
    return out


def _scan(
    added: torch.Tensor, A: torch.Tensor, x: torch.Tensor, reverse: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """x_{c+1} = A x_c + added_c: the states (M, H, G, S) before each chunk, written over `added`, and the last one."""
    for c in reversed(range(added.shape[2])) if reverse else range(added.shape[2]):
        moved = _moved(A, x)
        moved += added[:, :, c]
        added[:, :, c] = x
        x = moved
    return added, x


def _moved(A: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A x of states (M, H, S)."""
    if A.is_complex():
        return pairs(A * complexes(x))
    return torch.einsum("hij,mhj->mhi", A, x)


def _outer(after: torch.Tensor, states: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
    """The gradient of A: the sum over sequences and chunks of g_{c+1} x_c^*."""
    if not A.is_complex():
        return torch.einsum("mhgi,mhgj->hij", after, states).to(A.dtype)
    return (complexes(after) * complexes(states).conj()).sum((0, 2)).to(A.dtype)
