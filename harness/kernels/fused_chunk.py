"""The chunked layer of `chunked.py` in one pass over the sequence, forward and backward.

The kernels are in `fused_kernels.py`.

With g_c the gradient of y_c and p_c that of x_{c+1}, the adjoint is the same sweep from the other end,

    du_c = g_c T^T + p_c E^T,   p_{c-1} = A^T p_c + g_c O^T,   [T E; O A^T]' = sum_c [u_c, x_c]^T [g_c, p_c]

so that one kernel serves both directions and one more all tables. Sums over programs are two-stage, in a fixed order.

Few sequences would leave the 16 rows of a program empty and most of a GPU idle: a sequence is then cut into segments,
whose end states from rest are found first, carried over the segments in a sweep of its own, and given to the full pass.

The state is carried in float32, and A enters with twice that precision; states and their gradients leave in float64.

Compiled for sm_90 and run through the interpreter; not yet run on a GPU.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from harness.kernels import fused_kernels
from harness.kernels.chunked import Run
from harness.kernels.tables import Tables

Precision = Literal["tf32x3", "ieee", "tf32"]
WIDTH = 64
"""Real numbers of a state that one program carries; a longer diagonal state is a sum of such."""
ROWS = 16
"""Of a program: the fewest that tensor cores take; the tables of more would not fit the registers."""
PROGRAMS = 256
"""About two for each multiprocessor of an H100, below which a sequence is cut into segments."""
GRAM_ROWS = 32


def run(u: torch.Tensor, tables: Tables, x: torch.Tensor, precision: Precision = "tf32x3") -> Run:
    """As `chunked.run`, for u (M, H, L) float32 of any L >= 1: all chunks from the state x (M, H, S).

    Q is a power of two, 16 to 64; a dense state has at most WIDTH numbers, a diagonal one any number.
    """
    T, E, O, A = tables  # noqa: E741
    S = E.shape[-1]
    runs = []
    for first in range(0, S, WIDTH):
        cut = slice(first, first + WIDTH)
        width = min(S - first, WIDTH)
        fill = (0, (32 if width <= 32 else WIDTH) - width)
        fill_A = (0, fill[1] // 2) if A.is_complex() else fill + fill
        given = (
            torch.nn.functional.pad(x[..., cut], fill),
            T if first == 0 else None,
            torch.nn.functional.pad(E[..., cut], fill),
            torch.nn.functional.pad(O[:, cut], (0, 0, *fill)),
            torch.nn.functional.pad(A[:, first // 2 : (first + WIDTH) // 2] if A.is_complex() else A, fill_A),
        )
        y, last = _Run.apply(u, *given, precision)  # type: ignore[no-untyped-call]
        runs.append(Run(y, last[..., :width]))
    y = runs[0].y
    for more in runs[1:]:
        y = y + more.y
    return Run(y, torch.cat([one.x for one in runs], dim=-1))


class _Run(torch.autograd.Function):
    """Saves u and the states before every chunk, which are S/Q of its size."""

    @staticmethod
    def forward(
        ctx: Any,
        u: torch.Tensor,
        x: torch.Tensor,
        T: torch.Tensor | None,
        E: torch.Tensor,
        O: torch.Tensor,  # noqa: E741
        A: torch.Tensor,
        precision: Precision,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        u = u.contiguous()
        swept = _sweep(u, Tables(T, E, O, A), x, any(ctx.needs_input_grad), precision)  # type: ignore[arg-type]
        ctx.save_for_backward(u, swept.states, T, E, O, A)
        ctx.precision = precision
        return swept.y, swept.last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: torch.Tensor, glast: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        u, states, T, E, O, A = ctx.saved_tensors  # noqa: E741
        gy = gy.contiguous()
        adjoint = Tables(
            None if T is None else T.mT,  # type: ignore[arg-type]
            O.mT,
            E.mT,
            A.conj() if A.is_complex() else A.mT,
        )
        swept = _sweep(gy, adjoint, glast, True, ctx.precision, reverse=True)
        tables: tuple[torch.Tensor | None, ...] = (None,) * 4
        if any(ctx.needs_input_grad[2:6]):
            tables = _table_gradients(u, states, gy, swept.states, E.shape[1], T is not None, A, ctx.precision)
        return swept.y, swept.last, *tables, None


def most_segments(M: int, H: int) -> int:
    """Of a sequence, so that M sequences of H heads make PROGRAMS full programs."""
    return max(1, ROWS * -(-PROGRAMS // H) // M)


class _Swept(NamedTuple):
    y: torch.Tensor
    states: torch.Tensor
    last: torch.Tensor


def _sweep(
    u: torch.Tensor, tables: Tables, x: torch.Tensor, states: bool, precision: Precision, reverse: bool = False
) -> _Swept:
    """y (M, H, L), the states (M, H, G, S) before each chunk if asked for, and the last one (M, H, S) float64."""
    M, H, L = u.shape
    Q, S = tables.E.shape[1:]
    G = -(-L // Q)
    # A segment shorter than 8 chunks would not repay the sweep over the segments.
    P = min(most_segments(M, H), -(-G // 8))
    steps = -(-G // P)
    P = -(-G // steps)
    start = x.float()[:, :, None].contiguous()
    if P > 1:
        rest = start.new_zeros(M, H, P, S)
        ends = _launch(u, tables, rest, steps, False, False, precision, reverse).last
        one = torch.eye(S, dtype=u.dtype, device=u.device).expand(H, S, S)
        A = tables.A**steps if tables.A.is_complex() else torch.linalg.matrix_power(tables.A, steps)
        whole = Tables(None, one, one, A)  # type: ignore[arg-type]
        start = _launch(ends.view(M, H, P * S), whole, start, P, False, True, "ieee").states
    swept = _launch(u, tables, start, steps, True, states, precision, reverse)
    return swept._replace(last=swept.last[:, :, -1].double())


def _launch(
    u: torch.Tensor,
    tables: Tables,
    start: torch.Tensor,
    steps: int,
    output: bool,
    states: bool,
    precision: Precision,
    reverse: bool = False,
) -> _Swept:
    M, H, L = u.shape
    P = start.shape[2]
    T, E, O, A = tables  # noqa: E741
    Q, S = E.shape[1:]
    G = -(-L // Q)
    dense = not A.is_complex()
    real = A if dense else torch.view_as_real(A.resolve_conj()).flatten(1)
    # Two bits fewer than float32: 22, which head and tail hold exactly.
    A1 = (real.float().view(torch.int32) & -4).view(torch.float32)
    A2 = (real - A1).float()
    y = torch.empty_like(u) if output else u
    kept = u.new_empty(M, H, G, S) if states else u
    last = torch.empty_like(start)
    E, O = E.contiguous(), O.contiguous()  # noqa: E741
    T = E if T is None else T.contiguous()
    with torch.cuda.device_of(u):  # type: ignore[no-untyped-call]
        fused_kernels.sweep[-(-M * P // ROWS), H](
            *(u, T, E, O, A1.contiguous(), A2.contiguous(), start, y, kept, last),
            *(M * P, H, L, P, G),
            **sweep_variant(Q, S, dense, precision),
            STEPS=steps,
            REVERSE=reverse,
            TOEPLITZ=tables.T is not None,
            OUTPUT=output,
            STATES=states,
        )
    return _Swept(y, kept, last)


def chunk_steps(dense: bool, precision: Precision) -> int:
    """Q: 64, which balances the products of a chunk with those of a state of 64, where its tables fit the registers."""
    return 32 if dense and precision == "ieee" else 64


def sweep_variant(Q: int, S: int, dense: bool, precision: Precision) -> dict[str, Any]:
    """The constants and launch options of `sweep`: the warps that spill no register on sm_90."""
    wide = dense or (precision == "ieee" and S > 32)
    options = {"num_warps": 8 if wide else 4, "num_stages": 2, "enable_fp_fusion": True}
    return {"Q": Q, "S": S, "ROWS": ROWS, "DENSE": dense, "PRECISION": precision, **options}


def gram_variant(Q: int, S: int, precision: Precision) -> dict[str, Any]:
    """The constants and launch options of `gram`."""
    options = {"num_warps": 4, "num_stages": 3, "enable_fp_fusion": True}
    return {"Q": Q, "S": S, "SIDE": max(Q, S), "ROWS": GRAM_ROWS, "PRECISION": precision, **options}


def _table_gradients(
    u: torch.Tensor,
    x: torch.Tensor,
    g: torch.Tensor,
    p: torch.Tensor,
    Q: int,
    toeplitz: bool,
    A: torch.Tensor,
    precision: Precision,
) -> tuple[torch.Tensor | None, ...]:
    """Of T, E, O and A, from u, g (M, H, L) and the states x, p (M, H, G, S) before each chunk of the two sweeps."""
    M, H, L = u.shape
    G, S = x.shape[2:]
    first = 0 if toeplitz else 1
    tiles = 4 - first
    blocks = -(-M * G // GRAM_ROWS)
    steps = -(-blocks // max(1, min(2 * PROGRAMS // (H * tiles), blocks // 8)))
    parts = -(-blocks // steps)
    constants = gram_variant(Q, S, precision)
    out = u.new_empty(parts, H, tiles, constants["SIDE"], constants["SIDE"])
    with torch.cuda.device_of(u):  # type: ignore[no-untyped-call]
        fused_kernels.gram[tiles, H, parts](u, x, g, p, out, M * G, H, L, G, **constants, STEPS=steps, FIRST=first)
    *T, E, O, XP = out.sum(0).unbind(1)  # noqa: E741
    XP = XP[:, :S, :S]
    if A.is_complex():
        # p conj(x), from the products of their real and imaginary parts.
        four = XP.reshape(H, S // 2, 2, S // 2, 2).diagonal(0, 1, 3)
        gA = torch.complex(four[:, 0, 0] + four[:, 1, 1], four[:, 0, 1] - four[:, 1, 0])
    else:
        gA = XP.mT
    return T[0][:, :Q, :Q] if toeplitz else None, E[:, :Q, :S], O[:, :S, :Q], gA.to(A.dtype)
