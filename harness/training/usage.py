"""What a trial takes of its machine, seen at each evaluation: the rows of the split `system`, which MLflow shows apart.

The trial samples itself: a checkpoint counts the rows before it, so nobody else may put rows between them. How busy a
GPU is would need NVIDIA's own library, and is not seen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch

STATM = Path("/proc/self/statm")


class Usage:
    """Of this process, since it was made or last asked."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def metrics(self) -> Iterator[tuple[str, float, str]]:
        """(name, value, unit): the processor's share (100 % is one core), the memory now, the machine's load."""
        before, self._wall, self._cpu = (self._wall, self._cpu), time.perf_counter(), time.process_time()
        yield "cpu_utilization_percentage", 100 * (self._cpu - before[1]) / (self._wall - before[0]), "%"
        if STATM.exists():
            resident = int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            yield "memory_bytes", resident, "B"
        yield "load_average", os.getloadavg()[0], ""
        if self.device == "cuda":
            yield "gpu_memory_bytes", torch.cuda.memory_reserved(), "B"
