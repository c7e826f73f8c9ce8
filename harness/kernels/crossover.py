"""Where carrying the state over chunks overtakes the FFT, forward and backward together, as measured on a CPU.

Chunks cost 2 Q + 4 S operations an element whatever L is, and their tables a fixed price a head; a transform costs
log L passes over memory. `ablations/kernels-growth.toml` times both against length, state size and batch; its records
are in results/kernels-growth. No GPU has been measured; there the FFT is kept, as it is for large diagonal states.
"""

from __future__ import annotations

from typing import Literal

from harness.kernels.backend import Request

SMALL_STATE, LARGE_STATE = 16, 64


def faster(request: Request) -> Literal["fft", "chunked"]:
    """The faster application of a layer of this size."""
    if request.structure == "diagonal" and request.state > LARGE_STATE:
        return "fft"
    overtakes = 1024 if request.state <= SMALL_STATE else 4096
    return "chunked" if request.device == "cpu" and request.length >= overtakes else "fft"


def chunk_steps(state: int, length: int) -> int:
    """Q, a power of two: 128 where long sequences of large states repay the larger table, else 64; not above L."""
    Q = 128 if state > SMALL_STATE and length > 8192 else 64
    return min(Q, 1 << max(0, length - 1).bit_length())
