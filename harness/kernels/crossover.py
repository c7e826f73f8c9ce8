"""Where carrying the state over chunks overtakes the FFT, forward and backward together, as measured on a CPU.

Chunks cost 2 Q + 4 S operations an element and direction whatever L is, and their tables a fixed price a head; a
transform costs log L passes over memory, and serves both directions at once. Forward and backward of a layer of 64
heads as a block calls it, u (M, L, H) in memory, one thread, M = 8 (2 at the longest): the FFT's time over the chunks'

    L                        1024   4096   16384   65536
    causal, N = 4            1.06   1.45    2.2     1.9 to 2.2
    causal, N = 64, dplr      .97    .85    1.4     1.6
    causal, N = 64, diagonal  .64    .97    1.7     2.0
    both directions           .3 to .6   .5 to .8   .7 to 1.03   .8 to 1.0

`ablations/kernels-growth.toml` times causal layers of contiguous u. No GPU has been measured; there the FFT is kept, as
it is for large diagonal states.
"""

from __future__ import annotations

from typing import Literal

from harness.kernels.backend import Request

SMALL_STATE, LARGE_STATE = 16, 64


def faster(request: Request) -> Literal["fft", "chunked"]:
    """The faster application of a layer of this size."""
    if request.channels == 2 or (request.structure == "diagonal" and request.state > LARGE_STATE):
        return "fft"
    overtakes = 1024 if request.state <= SMALL_STATE else 16384
    return "chunked" if request.device == "cpu" and request.length >= overtakes else "fft"


def chunk_steps(state: int, length: int) -> int:
    """Q, a power of two: 128 where long sequences of large states repay the larger table, else 64; not above L."""
    Q = 128 if state > SMALL_STATE and length > 8192 else 64
    return min(Q, 1 << max(0, length - 1).bit_length())
