"""How much useful work a call is: counted from the sizes alone, the same for every contestant, so that rates compare.

    kernel   2 N L H flops: the plain sum 2 Re sum_n w_n a_n^l over n = N/2 pairs as a real matrix product
    layer    (2 Q + 4 N) M H L flops, Q = 64: the chunked layer, which is the least that any method here needs
    step     a layer and its mixing, 2 H (2H with GLU, else H) flops an element, for each layer; both directions
             of a bidirectional layer

A backward pass is twice its forward pass. Bytes are what has to move whatever the method: parameters read and K
written, or u read and y written, of each layer; backward reads the cotangent (and u) and writes the gradients.
Torch-free.

Legend: M sequences, H heads, L length, N state size.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.throughput.config import KernelTimer, StepTimer, Timer
from harness.throughput.recipe import RecipeTimer

CHUNK = 64
"""Q. A method that needs less, such as the FFT of a short sequence at a large N, can exceed its ceiling."""
PARAMETERS = {"diagonal": 3, "dplr": 4, "dense": 2}
"""Numbers for each state and head: A, B, C, (P) as n complex ones, N reals each; dense counts B and C, and A apart."""


@dataclass(frozen=True)
class Work:
    """Useful work of one call."""

    flops: float
    bytes: float


def work(timer: Timer) -> dict[str, Work]:
    """Direction ("forward", "both") to the work of a call."""
    M, H, L, N = timer.batch_size, timer.heads, timer.length, timer.state
    itemsize = 4 if timer.dtype == "float32" else 8
    if isinstance(timer, KernelTimer):
        numbers = H * N * (PARAMETERS[timer.structure] + (N if timer.structure == "dense" else 0))
        flops, read, written = 2.0 * N * L * H, float(numbers * itemsize), float(H * L * itemsize)
        return {"forward": Work(flops, read + written), "both": Work(3 * flops, 2 * (read + written))}
    flops, moved = (2.0 * CHUNK + 4.0 * N) * M * H * L, 2.0 * M * H * L * itemsize
    if isinstance(timer, StepTimer | RecipeTimer):
        model = timer.model
        mixing = 2.0 * H * (2 if model.glu else 1) * M * H * L
        directions = 2 if model.bidirectional else 1
        flops, moved = model.n_layers * (directions * flops + mixing), model.n_layers * moved
    return {"forward": Work(flops, moved), "both": Work(3 * flops, 2.5 * moved)}
