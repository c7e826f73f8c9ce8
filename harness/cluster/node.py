"""What one node gives to a sweep: by default what fills it with trials, from the file's [resources]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.ablation import Resources

MEMORY_GIB = 8.0
"""Of a trial that states no limit, where a number has to be given."""


@dataclass(frozen=True)
class Node:
    """Processors, GPUs and memory; `memory_gib` is None where neither the file nor the user says it."""

    cpus: int
    gpus: int
    memory_gib: float | None


def node(resources: Resources, cpus: int | None, gpus: int | None, memory_gib: float | None) -> Node:
    """A node as asked for. What was left open fits the trials that share its GPUs, or one trial where there are none.

    1 GPU at gpus_per_trial = 0.25 is 4 trials, hence 4 cpus_per_trial and 4 memory_gib.
    """
    share = resources.gpus_per_trial
    held = math.ceil(share) if gpus is None else gpus
    trials = max(1, int(held / share)) if share > 0 else 1
    memory = resources.memory_gib * trials if resources.memory_gib else None
    return Node(
        cpus or max(1, math.ceil(resources.cpus_per_trial * trials)), held, memory if memory_gib is None else memory_gib
    )
