"""From a plan to the sweep that the driver runs: its folder, resources and today's data fingerprints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.launch.options import Sweep
    from harness.plan import Plan


def sweep_of(planned: Plan, results: Path, prints: Mapping[str, str]) -> Sweep:
    """The sweep of a plan; `prints` are today's fingerprints of its trials' data, as `fingerprints` gives them."""
    from harness.launch.options import Sweep

    ablation = planned.ablation
    folder = results / ablation.name
    resources = ablation.resources
    return Sweep(
        name=ablation.name,
        folder=folder,
        jobs=list(planned.jobs()),
        cpus_per_trial=resources.cpus_per_trial,
        gpus_per_trial=resources.gpus_per_trial,
        timeout_s=None if resources.timeout_minutes is None else resources.timeout_minutes * 60,
        memory_bytes=None if resources.memory_gib is None else int(resources.memory_gib * 2**30),
        max_attempts=resources.max_attempts,
        fingerprints=prints,
        exclusive=ablation.kind == "throughput",
        search=planned.search,
    )


def known(sweep: Sweep) -> Sweep:
    """The sweep with every trial that is known by now; of a search, those that its records allow."""
    if sweep.search is None:
        return sweep
    from harness.launch import search
    from harness.launch.options import Options

    return search.known(sweep, Options())


def fingerprints(planned: Plan, data_root: Path | None) -> dict[str, str]:
    """Today's fingerprint of what every trial, or arm of a search, is made from; each distinct task is asked once.

    That is the data of a training trial, and the device and library versions of a timing. Raises EnvironmentProblem
    when data is missing.
    """
    if planned.ablation.kind == "throughput":
        from harness.throughput.fingerprint import fingerprint

        return {one.trial_id: fingerprint(one.choices["timer"]["threads"]) for one in planned.trials}

    from harness import registry
    from harness.tasks import TASKS

    known: dict[str, str] = {}
    found = {}
    made = {arm.id: arm.first for arm in planned.search.arms} if planned.search else {}
    for name, one in made.items() or ((one.trial_id, one) for one in planned.trials):
        choice = one.choices["task"]
        key = json.dumps(choice, sort_keys=True)
        if key not in known:
            known[key] = registry.build("task", TASKS, choice).provenance(data_root).fingerprint
        found[name] = known[key]
    return found
