"""What the machine can do, measured in the run that it is compared with: a large product and a large copy.

Source: the roofline of Williams, Waterman, Patterson (2009).
"""

from __future__ import annotations

from functools import partial
from statistics import median

import torch

from harness.throughput.clock import Clock

REPEATS = 3
SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices: some 15 ms at what one core or a large GPU reaches."""
COPIED = {"cpu": 2**28, "cuda": 2**30}
"""Bytes, more than any cache holds."""


def ceilings(dtype: torch.dtype, device: str, clock: Clock) -> dict[str, float]:
    """FLOP/s of a square matrix product in `dtype`, and bytes/s, read and written, of a copy; medians."""
    n = SIDE[device]
    a, b, product = (torch.ones(n, n, dtype=dtype, device=device) for _ in range(3))
    source, target = (torch.ones(COPIED[device], dtype=torch.uint8, device=device) for _ in range(2))
    multiply, copy = partial(torch.mm, a, b, out=product), partial(target.copy_, source)
    for call in (multiply, copy):
        call()
    seconds = [(clock(multiply), clock(copy)) for _ in range(REPEATS)]
    return {
        "gemm_flops_per_s": 2 * n**3 / median(one for one, _ in seconds),
        "copy_bytes_per_s": 2 * COPIED[device] / median(other for _, other in seconds),
    }
