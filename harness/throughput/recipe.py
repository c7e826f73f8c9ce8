"""The parameters of the timing "recipe": the training step of a preset, at its full size. Torch-free."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from harness.errors import UsageError
from harness.presets.preset import Preset, load
from harness.registry import build, check_keys
from harness.ssm.config import S4
from harness.tasks import TASKS
from harness.tasks.classification import Classification
from harness.throughput.config import Timer
from harness.training.config import AdamW

GATE_BATCH, GATE_LAYERS = 4, 2
"""What the correctness gate takes of a step at most; every layer and every sequence goes the same way."""


@dataclass(frozen=True)
class RecipeTimer(Timer):
    """A training step of a preset for a task, as `harness.training` takes it, and the share of time in each part.

    The batches are random, stored and assembled like the task's; forward is forward and loss, and with backward the
    batch, the optimiser and all else that a step does. What is 0 or left out is written out as the preset has it.
    """

    version: ClassVar[int] = 1
    sizes: ClassVar[tuple[str, ...]] = ("length", "heads", "state", "batch", "accumulate")

    preset: str = "fair"
    task: str = "listops"
    architecture: Mapping[str, Any] | None = None
    """Parameters of the model; those given here, the rest of the preset."""
    length: int = 0
    heads: int = 0
    state: int = 0
    structure: Literal["dplr", "diagonal", "dense"] = "dplr"
    """Written out as the model's; to choose another, set it in `architecture`."""
    batch: int = 0
    """M, sequences; of a task that compares two, pairs."""
    accumulate: int = 1
    """Micro-batches that the batch is taken in, where the memory does not hold the whole."""
    precision: Literal["float32", "bf16-linear"] = "float32"
    """Of what is timed; the gate always compares float32."""
    compile: bool = False
    backends: tuple[str, ...] = ("auto + auto",)

    def __post_init__(self) -> None:
        tables = self._preset.beneath({"task": {"name": self.task}, "model": None, "training": None}, _NAMES)
        given = dict(self.architecture or {})
        check_keys("model", S4, "s4", given)
        model = {**tables["model"], **given}
        model |= {key: size for key, size in (("d_model", self.heads), ("d_state", self.state)) if size}
        if self.heads and "n_ssm" not in given:
            model["n_ssm"] = math.gcd(model.get("n_ssm") or self.heads, self.heads)
        whole = S4(**model)
        if self.structure not in ("dplr", whole.structure):
            raise UsageError(
                f"timer.structure is '{self.structure}', but the model's is '{whole.structure}'; "
                f"leave it out and set timer.architecture.structure."
            )
        written_out: dict[str, Any] = {"architecture": dataclasses.asdict(whole), "structure": whole.structure}
        written_out |= {"heads": whole.d_model, "state": whole.d_state, "discretization": whole.discretization}
        written_out |= {"length": self.length or self.classified.max_length}
        written_out |= {"batch": self.batch or tables["training"]["batch_size"]}
        for name, value in written_out.items():
            object.__setattr__(self, name, value)
        super().__post_init__()
        assert self.training.batch_size == self.batch

    @property
    def _preset(self) -> Preset:
        return load(self.preset)

    @property
    def classified(self) -> Classification:
        """The task, as the preset sets it. Raises UsageError where it is none of one class for each sequence."""
        found = build("task", TASKS, {"name": self.task, **self._preset.tasks[self.task].get("task", {})})
        if not isinstance(found, Classification):
            raise UsageError(f"timer.task is '{self.task}', which is no classification; choose one that is.")
        return found

    @property
    def padded(self) -> bool:
        """Whether the sequences of a batch differ in length."""
        return self.classified.inputs.kind == "tokens"

    @property
    def batch_size(self) -> int:
        """Sequences that go through the model."""
        return self.batch * self.classified.inputs.towers

    @property
    def model(self) -> S4:
        assert self.architecture is not None
        return S4(**self.architecture)

    @property
    def training(self) -> AdamW:
        """The preset's training, of this batch."""
        recipe = self._preset.tasks[self.task]["training"]
        own = {"batch_size": self.batch, "accumulate": self.accumulate, "precision": self.precision}
        return AdamW(**{**recipe, **own, "compile": self.compile})

    def smaller(self, heads: int) -> RecipeTimer:
        """The same with fewer heads."""
        return dataclasses.replace(self, heads=heads, architecture=self._with(heads))

    def gated(self, heads: int, length: int) -> RecipeTimer:
        """The same step, small: what cannot be compared (dropout, bfloat16) is left out."""
        fewer = {"n_layers": min(self.model.n_layers, GATE_LAYERS), "dropout": 0.0, "dropout_convolution": 0.0}
        return dataclasses.replace(
            self,
            heads=heads,
            length=length,
            batch=min(self.batch, GATE_BATCH),
            accumulate=1,
            precision="float32",
            architecture=self._with(heads) | fewer,
        )

    def _with(self, heads: int) -> dict[str, Any]:
        assert self.architecture is not None
        return {**self.architecture, "d_model": heads, "n_ssm": math.gcd(self.model.copies, heads)}


_NAMES: dict[str, str | None] = {"task": None, "model": "s4", "training": "adamw"}
