"""Named random streams: one per purpose, all spawned from the trial's seed.

Arms of one seed share every stream that the comparison does not change; without that a paired difference
is not paired.
"""

from __future__ import annotations

import numpy as np

PURPOSES = ("data", "order", "weights", "C", "dt", "dropout")
"""Data and split; order of the batches; shared weights; read-out C; the uniforms behind dt; dropout."""


def stream(seed: int, purpose: str) -> int:
    """A 63-bit seed for `purpose`, independent of the other purposes' and of every other trial seed's.

    Raises ValueError for a purpose that has no stream.
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(PURPOSES.index(purpose),))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
