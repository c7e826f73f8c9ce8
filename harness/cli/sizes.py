"""How `harness plan` shows the size of an arm's model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.spec import Arm

HEADS = ("blocks", "parameters")
"""The trained parameters of blocks and norms, and of the whole model."""


def sizes(arms: Iterable[Arm]) -> tuple[str, str]:
    """The counts under `HEADS`; the fewest and the most of the arms where they differ, blank where none is an S4."""
    from harness import registry
    from harness.bases import BASES
    from harness.ssm import MODELS, TIMESCALES
    from harness.ssm.config import S4
    from harness.ssm.count import count
    from harness.tasks import TASKS

    distinct = {json.dumps([arm.choices[name] for name in ("task", "basis", "dt", "model")]): arm for arm in arms}
    found = []
    for choices in (arm.choices for arm in distinct.values()):
        task = registry.build("task", TASKS, choices["task"])
        basis = registry.build("basis", BASES, choices["basis"])
        timescale = registry.build("timescale", TIMESCALES, choices["dt"])
        model = registry.build("model", MODELS, choices["model"])
        if isinstance(model, S4):
            found.append(count(model, basis, timescale, task.inputs, task.outputs))
    return _between([one.blocks for one in found]), _between([one.total for one in found])


def _between(counts: list[int]) -> str:
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
