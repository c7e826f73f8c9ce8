"""The Triton kernels of the fused chunked layer: one pass over a sequence, and the products its tables' gradients are.

    sweep    y_c = u_c T + x_c O,   x_{c+1} = A x_c + u_c E       forwards, or from the last chunk to the first
    gram     [T E; O A]' = sum over sequences and chunks of [u_c, x_c]^T [g_c, p_c]

A program of `sweep` takes 16 rows, which are sequences or segments of sequences, of one head: the tables stay on the
chip, u is read once and y written once, and the state never leaves registers. Rows, not chunks, fill the tensor
cores' 16 rows, so that a dense A costs one more product and a diagonal A no scan.

A float32 operand is two numbers of 11 significant bits, which tensor cores multiply exactly: a = head + tail, and
a b = head head + head tail + tail head up to 2^-22 (3xTF32; Markidis et al. 2018). Splitting is done here rather than
by the compiler, so that the interpreter rounds as the hardware does. The step A is split in three, A1 + A2, because an
undamped mode is multiplied by it once a chunk and its rounding adds up.

Compiled for sm_90 and run through the interpreter; not yet run on a GPU.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def head(a):
    """a truncated to the 11 significant bits of tf32; a NaN stays one."""
    return (a.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)


@triton.jit
def tail(a):
    """What `head` left, rounded to 11 significant bits."""
    left = a - head(a)
    return ((left.to(tl.int32, bitcast=True) + 4096) & -8192).to(tl.float32, bitcast=True)


@triton.jit
def product(a, b, total, PRECISION: tl.constexpr):
    """total + a b."""
    if PRECISION == "ieee":
        total = tl.dot(a, b, total, input_precision="ieee")
    else:
        if PRECISION == "tf32x3":
            total = tl.dot(tail(a), head(b), total, input_precision="tf32")
            total = tl.dot(head(a), tail(b), total, input_precision="tf32")
        total = tl.dot(head(a), head(b), total, input_precision="tf32")
    return total


@triton.jit
def sweep(
    u,
    T,
    E,
    O,  # noqa: E741
    A1,
    A2,
    x0,
    y,
    states,
    last,
    rows,
    heads,
    length,
    segments,
    chunks,
    Q: tl.constexpr,
    S: tl.constexpr,
    ROWS: tl.constexpr,
    STEPS: tl.constexpr,
    DENSE: tl.constexpr,
    REVERSE: tl.constexpr,
    TOEPLITZ: tl.constexpr,
    OUTPUT: tl.constexpr,
    STATES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Grid (ceil(rows / ROWS), heads): a row is a segment of STEPS chunks of one sequence.

    u, y (M, H, length); T (H, Q, Q), E (H, Q, S), O (H, S, Q); A1, A2 (H, S) pairs or (H, S, S); x0 and last
    (M, H, segments, S) before and after each segment; states (M, H, chunks, S) before each chunk. All contiguous.
    """
    # A truncated state, once a chunk, would be damped by 2^-11 a chunk.
    TURN: tl.constexpr = "ieee" if PRECISION == "ieee" else "tf32x3"
    h = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < rows
    sequence = (row // segments).to(tl.int64) * heads + h
    segment = row % segments
    q = tl.arange(0, Q)
    s = tl.arange(0, S)
    to_state = tl.load(E + (h * Q + q[:, None]) * S + s[None, :])
    if OUTPUT:
        to_output = tl.load(O + (h * S + s[:, None]) * Q + q[None, :])
        if TOEPLITZ:
            within = tl.load(T + (h * Q + q[:, None]) * Q + q[None, :])
    if DENSE:
        # The transpose: a row x times it is the column A x.
        square = (h * S + s[None, :]) * S + s[:, None]
        turn = tl.load(A1 + square)
        turn_rest = tl.load(A2 + square)
    else:
        pair = h * S + 2 * tl.arange(0, S // 2)[None, :]
        re, im = tl.load(A1 + pair), tl.load(A1 + pair + 1)
        re_rest, im_rest = tl.load(A2 + pair), tl.load(A2 + pair + 1)
    at = (sequence * segments + segment)[:, None] * S + s[None, :]
    x = tl.load(x0 + at, mask=here[:, None], other=0.0)
    for step in range(STEPS):
        c = segment * STEPS + step
        live = (here & (c < chunks))[:, None]
        if REVERSE:
            c = chunks - 1 - c
        t = c[:, None] * Q + q[None, :]
        known = live & (t < length)
        spot = sequence[:, None] * length + t
        uc = tl.load(u + spot, mask=known, other=0.0)
        if STATES:
            tl.store(states + (sequence * chunks + c)[:, None] * S + s[None, :], x, mask=live)
        if OUTPUT:
            yc = tl.zeros((ROWS, Q), tl.float32)
            if TOEPLITZ:
                yc = product(uc, within, yc, PRECISION)
            tl.store(y + spot, product(x, to_output, yc, PRECISION), mask=known)
        if DENSE:
            turned = product(x, turn_rest, tl.zeros((ROWS, S), tl.float32), "tf32")
            turned = product(x, turn, turned, TURN)
        else:
            xr, xi = tl.split(tl.reshape(x, (ROWS, S // 2, 2)))
            yr = re * xr - im * xi + (re_rest * xr - im_rest * xi)
            yi = re * xi + im * xr + (re_rest * xi + im_rest * xr)
            turned = tl.reshape(tl.join(yr, yi), (ROWS, S))
        x = tl.where(live, product(uc, to_state, turned, PRECISION), x)
    tl.store(last + at, x, mask=here[:, None])


@triton.jit
def gram(
    u,
    x,
    g,
    p,
    out,
    rows,
    heads,
    length,
    chunks,
    Q: tl.constexpr,
    S: tl.constexpr,
    SIDE: tl.constexpr,
    ROWS: tl.constexpr,
    STEPS: tl.constexpr,
    FIRST: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Grid (tiles from FIRST, heads, parts): tile 0 is u^T g, 1 u^T p, 2 x^T g, 3 x^T p, over the rows of one part.

    u, g (M, H, length); x, p (M, H, chunks, S); a row is a chunk of a sequence; out (parts, H, tiles, SIDE, SIDE).
    """
    tile = tl.program_id(0) + FIRST
    h = tl.program_id(1)
    part = tl.program_id(2)
    i = tl.arange(0, SIDE)
    left, left_width, left_span = u, Q, length
    if tile >= 2:
        left, left_width, left_span = x, S, chunks * S
    right, right_width, right_span = g, Q, length
    if tile % 2 == 1:
        right, right_width, right_span = p, S, chunks * S
    total = tl.zeros((SIDE, SIDE), tl.float32)
    for step in range(STEPS):
        row = (part * STEPS + step) * ROWS + tl.arange(0, ROWS)
        live = row < rows
        sequence = (row // chunks).to(tl.int64) * heads + h
        c = row % chunks
        column = c[None, :] * left_width + i[:, None]
        known = live[None, :] & (i[:, None] < left_width) & (column < left_span)
        a = tl.load(left + sequence[None, :] * left_span + column, mask=known, other=0.0)
        column = c[:, None] * right_width + i[None, :]
        known = live[:, None] & (i[None, :] < right_width) & (column < right_span)
        b = tl.load(right + sequence[:, None] * right_span + column, mask=known, other=0.0)
        total = product(a, b, total, PRECISION)
    tiles = tl.num_programs(0)
    spot = ((part * heads + h) * tiles + tl.program_id(0)) * SIDE * SIDE
    tl.store(out + spot + i[:, None] * SIDE + i[None, :], total)
