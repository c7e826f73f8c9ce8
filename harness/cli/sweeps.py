"""From a plan to the sweep that the driver runs: its folder, resources and today's data fingerprints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import unknown

if TYPE_CHECKING:
    from harness.ablation import ArmResources, Resources
    from harness.launch.options import Sweep
    from harness.plan import Plan


def sweep_of(planned: Plan, results: Path, prints: Mapping[str, str]) -> Sweep:
    """The sweep of a plan; `prints` are today's fingerprints of its trials' data, as `fingerprints` gives them."""
    from harness.launch.options import Sweep

    ablation = planned.ablation
    folder = results / ablation.name
    return Sweep(
        name=ablation.name,
        folder=folder,
        jobs=list(planned.jobs()),
        max_attempts=ablation.resources.max_attempts,
        silent_s=ablation.resources.silent_minutes * 60,
        fingerprints=prints,
        exclusive=ablation.kind == "throughput",
        search=planned.search,
        arms=[({axis: str(label) for axis, label in one.only.items()}, _needs(one)) for one in _arms(planned)],
        **_needs(ablation.resources),
    )


def _arms(planned: Plan) -> list[ArmResources]:
    """The arms with resources of their own. Raises UsageError for an axis or a label that is not compared."""
    for one in planned.ablation.resources.arms:
        for axis, label in one.only.items():
            if axis not in planned.levels:
                raise unknown("axis in resources.arms", axis, planned.levels)
            if str(label) not in planned.levels[axis]:
                raise unknown(f"{axis} in resources.arms", str(label), planned.levels[axis])
    return planned.ablation.resources.arms


def _needs(resources: Resources | ArmResources) -> dict[str, Any]:
    """The fields of a sweep that these resources set."""
    given = {
        "cpus_per_trial": resources.cpus_per_trial,
        "gpus_per_trial": resources.gpus_per_trial,
        "timeout_s": None if resources.timeout_minutes is None else resources.timeout_minutes * 60,
        "memory_bytes": None if resources.memory_gib is None else int(resources.memory_gib * 2**30),
    }
    return {name: value for name, value in given.items() if value is not None}


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
    by_arm: dict[int, str] = {}
    for arm in planned.arms:
        choice = arm.choices["task"]
        key = json.dumps(choice, sort_keys=True)
        if key not in known:
            known[key] = registry.build("task", TASKS, choice).provenance(data_root).fingerprint
        by_arm[id(arm)] = known[key]
    if planned.search:
        return {one.id: by_arm[id(one.first.arm)] for one in planned.search.arms}
    return {one.trial_id: by_arm[id(one.arm)] for one in planned.trials}
