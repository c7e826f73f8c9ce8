"""A warning before arms start that cannot fit into the memory they are allowed, or that there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.launch.options import Sweep
    from harness.plan import Plan
    from harness.spec import Arm


def too_large(planned: Plan, sweep: Sweep, here: bool) -> Iterator[str]:
    """A sentence for each arm whose least memory exceeds its `memory_gib`, or with `here` this machine's.

    What a trial on a GPU keeps lies there, so it is held against the GPU's memory, or its share of it.
    """
    from harness.launch import machine

    if planned.ablation.kind != "train":
        return
    for trial in {trial.arm.canonical: trial for trial in planned.examples}.values():
        own = sweep.of({"ablation": {"arm": trial.arm.labels}})
        limits = [(own.memory_bytes, "its memory_gib allows")] if own.memory_bytes else []
        if here:
            limits.append((machine.memory_bytes(), "this machine has"))
        if own.gpus_per_trial > 0:
            held = machine.gpu_bytes() if here else None
            limits = [(int(held * min(1.0, own.gpus_per_trial)), "its part of a GPU has")] if held else []
        needed = least_bytes(trial.arm)
        for limit, whose in sorted(limits)[:1]:
            if needed > limit:
                arm = ", ".join(f"{axis} {label}" for axis, label in trial.arm.labels.items()) or planned.ablation.name
                yield (
                    f"{arm} cannot fit: a trial takes at least {needed / 2**30:.1f} GiB, and {whose} "
                    f"{limit / 2**30:.1f} GiB. {_advice(trial.arm)}"
                )


def _advice(arm: Arm) -> str:
    """What makes an arm fit; micro-batches only where they leave the result as it is."""
    if arm.choices["model"].get("norm") == "batch":
        return "Lower training.batch_size (training.accumulate would take batch statistics of micro-batches)."
    return "Lower training.batch_size, or set training.accumulate."


def least_bytes(arm: Arm) -> int:
    """The least memory of a trial of this arm; 0 where its model is none of ours."""
    from harness import registry
    from harness.bases import BASES
    from harness.ssm import MODELS, TIMESCALES, memory
    from harness.ssm.config import S4
    from harness.ssm.count import count
    from harness.tasks import TASKS

    choices = arm.choices
    task = registry.build("task", TASKS, choices["task"])
    model = registry.build("model", MODELS, choices["model"])
    if not isinstance(model, S4):
        return 0
    basis = registry.build("basis", BASES, choices["basis"])
    timescale = registry.build("timescale", TIMESCALES, choices["dt"])
    parameters = count(model, basis, timescale, task.inputs, task.outputs).total
    training = choices["training"]
    sequences = -(-training["batch_size"] // training.get("accumulate", 1)) * task.inputs.towers
    return memory.least_bytes(model, parameters, sequences, task.max_length)
