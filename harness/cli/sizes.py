"""How `harness plan` shows the size of an arm's model."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.spec import Arm
    from harness.ssm.count import Count

HEADS = ("blocks", "parameters")
"""The trained parameters of blocks and norms, and of the whole model."""
PARTS = ("task", "basis", "dt", "model")
"""What they follow from."""


def sizes(arms: Iterable[Arm]) -> tuple[str, str]:
    """The counts under `HEADS`; the fewest and the most of the arms where they differ, blank where none is an S4."""
    distinct = dict.fromkeys(json.dumps([arm.choices[name] for name in PARTS]) for arm in arms)
    found = [one for one in map(_count, distinct) if one is not None]
    return _between([one.blocks for one in found]), _between([one.total for one in found])


@functools.cache
def _count(choices: str) -> Count | None:
    """Of the model that the JSON of these parts describes; asked once, as most arms of a large plan share it."""
    from harness import registry
    from harness.bases import BASES
    from harness.ssm import MODELS, TIMESCALES
    from harness.ssm.config import S4
    from harness.ssm.count import count
    from harness.tasks import TASKS

    tables = (TASKS, BASES, TIMESCALES, MODELS)
    built = zip(("task", "basis", "timescale", "model"), tables, json.loads(choices), strict=True)
    task, basis, timescale, model = (registry.build(*one) for one in built)
    return count(model, basis, timescale, task.inputs, task.outputs) if isinstance(model, S4) else None


def _between(counts: list[int]) -> str:
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
