"""The parameters of a training run. Torch-free; `harness.training.loop` runs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.errors import UsageError


@dataclass(frozen=True)
class AdamW:
    """AdamW in the official recipes' parameter groups, linear warm-up, then cosine, constant or plateau."""

    version: ClassVar[int] = 1

    steps: int = 1000
    batch_size: int = 32
    lr: float = 1e-2
    """Learning rate of everything but A, B, P, dt and, where it has its own, C."""
    lr_ssm: float = 1e-3
    """Learning rate of A, B and P, which have no weight decay."""
    lr_dt: float | None = None
    """Learning rate of dt, which has no weight decay; None is written out as lr_ssm."""
    lr_C: float | None = None
    """Learning rate of C, which has weight decay; None is written out as lr."""
    weight_decay: float = 0.01
    decay: Literal["weights", "official", "all"] = "weights"
    """`weights` decays no bias, norm or embedding; `official` does in encoder and head; `all`, as S4's first code,
    decays everything but A, B, P and dt."""
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    schedule_steps: int | None = None
    """Where the cosine reaches 0; None is written out as steps. Some official runs stop before that."""
    warmup_steps: int = 0
    plateau_factor: float = 0.2
    """What the plateau schedule multiplies the rates by, after more than `plateau_patience` evaluations in a row
    whose score was not better than the best by one part in 10,000."""
    plateau_patience: int = 10
    clip_grad_norm: float | None = None
    """Gradients whose 2-norm over all parameters is larger are scaled down to it."""
    evaluations: int = 10
    """Evaluations on validation, evenly spaced, the last one after the last step; each writes a checkpoint.

    More than `steps` is written out as `steps`.
    """
    eval_batch_size: int | None = None
    """None is written out as batch_size."""
    eval_drop_last: bool = False
    """Leave the last batch out of an evaluation where it is not full, as the official code does."""
    test_at: Literal["best", "evaluations"] = "best"
    """`evaluations` scores the test split at every evaluation too, as the official code does (split `test_curve`)."""
    accumulate: int = 1
    """Micro-batches that a batch is taken in, one after another, to save memory. The result is that of the whole
    batch, but for rounding, where nothing looks across examples: batch statistics are those of a micro-batch (a
    label, harness/labels.py), dropout draws in another order, and a loss over steps that differ in number weighs
    micro-batches alike."""
    precision: Literal["float32", "bf16-linear"] = "float32"
    """`bf16-linear`: encoder, channel mixing and head multiply in bfloat16; kernels and convolutions stay float32."""
    compile: bool = False
    """torch.compile what follows the state space layer of each block: dropout, activation, mixing, residual; norms, one
    kernel each, and the state space layer stay eager. The result is that of the eager blocks but for rounding."""

    def __post_init__(self) -> None:
        if self.lr_dt is None:
            object.__setattr__(self, "lr_dt", self.lr_ssm)
        if self.lr_C is None:
            object.__setattr__(self, "lr_C", self.lr)
        if self.schedule_steps is None:
            object.__setattr__(self, "schedule_steps", self.steps)
        if self.eval_batch_size is None:
            object.__setattr__(self, "eval_batch_size", self.batch_size)
        for name in ("steps", "batch_size", "evaluations", "eval_batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise UsageError(f"training.{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("lr", "lr_ssm", "lr_dt", "lr_C", "weight_decay", "warmup_steps", "plateau_patience"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"training.{name} is {getattr(self, name)}; it must be at least 0 and finite.")
        if self.warmup_steps >= self.steps:
            raise UsageError(
                f"training.warmup_steps is {self.warmup_steps}; it must be below training.steps, which is {self.steps}."
            )
        self._check_schedule()
        self._check_accumulate()
        if self.clip_grad_norm is not None and not self.clip_grad_norm > 0:
            raise UsageError(
                f"training.clip_grad_norm is {self.clip_grad_norm}; it must be above 0 (leave it out for no clipping)."
            )
        if self.evaluations > self.steps:
            object.__setattr__(self, "evaluations", self.steps)

    @property
    def labels(self) -> tuple[str, ...]:
        """What a reader must be told beside every result."""
        found = {
            "the unfull last batch of validation and test left out, as in the official code": self.eval_drop_last,
            "test looked at during training, as in the official code": self.test_at == "evaluations",
            "linear layers in bfloat16": self.precision == "bf16-linear",
        }
        return tuple(label for label, holds in found.items() if holds)

    def _check_accumulate(self) -> None:
        """Micro-batches are of one size, but for a smaller last one."""
        parts = math.ceil(self.batch_size / math.ceil(self.batch_size / self.accumulate))
        if parts != self.accumulate:
            raise UsageError(
                f"training.accumulate is {self.accumulate}; it must split training.batch_size, which is "
                f"{self.batch_size}, into micro-batches that are equal but for a smaller last one; the nearest below "
                f"is {parts}."
            )

    def _check_schedule(self) -> None:
        assert self.schedule_steps is not None
        if not self.steps <= self.schedule_steps <= 2 * self.steps:
            raise UsageError(
                f"training.schedule_steps is {self.schedule_steps}; it must be between training.steps, which is "
                f"{self.steps}, and twice that, or the rate would hardly fall (leave it out for training.steps)."
            )
        if not 0 < self.plateau_factor < 1:
            raise UsageError(f"training.plateau_factor is {self.plateau_factor}; it must be above 0 and below 1.")
