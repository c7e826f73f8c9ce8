"""What a reader must be told because of several parts of a trial's spec together; no part alone could say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def of_parts_together(spec: Mapping[str, Any]) -> list[str]:
    """The labels of a spec, of whatever kind."""
    timer = spec.get("timer", {})
    model = timer.get("architecture") or spec.get("model", {})
    accumulate = timer.get("accumulate") or spec.get("training", {}).get("accumulate", 1)
    if accumulate > 1 and model.get("norm") == "batch":
        # Batch normalisation sees a micro-batch at a time: the result is not that of the whole batch.
        return [f"batch statistics of micro-batches, {accumulate} to a batch"]
    return []
