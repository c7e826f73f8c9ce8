"""The parameters of a training run. Torch-free; `harness.training.loop` runs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.errors import UsageError


@dataclass(frozen=True)
class AdamW:
    """AdamW in the official recipes' parameter groups, linear warm-up, then cosine or constant."""

    version: ClassVar[int] = 1

    steps: int = 1000
    batch_size: int = 32
    lr: float = 1e-2
    """Learning rate of everything but A, B, P and dt."""
    lr_ssm: float = 1e-3
    """Learning rate of A, B and P, which have no weight decay."""
    lr_dt: float | None = None
    """Learning rate of dt, which has no weight decay; None is written out as lr_ssm."""
    weight_decay: float = 0.01
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 0
    clip_grad_norm: float | None = None
    """Gradients whose 2-norm over all parameters is larger are scaled down to it."""
    evaluations: int = 10
    """Evaluations on validation, evenly spaced, the last one after the last step; each writes a checkpoint.

    More than `steps` is written out as `steps`.
    """
    eval_batch_size: int | None = None
    """None is written out as batch_size."""

    def __post_init__(self) -> None:
        if self.lr_dt is None:
            object.__setattr__(self, "lr_dt", self.lr_ssm)
        if self.eval_batch_size is None:
            object.__setattr__(self, "eval_batch_size", self.batch_size)
        for name in ("steps", "batch_size", "evaluations", "eval_batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"training.{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("lr", "lr_ssm", "lr_dt", "weight_decay", "warmup_steps"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"training.{name} is {getattr(self, name)}; it must be at least 0 and finite.")
        if self.warmup_steps >= self.steps:
            raise UsageError(
                f"training.warmup_steps is {self.warmup_steps}; it must be below training.steps, which is {self.steps}."
            )
        if self.clip_grad_norm is not None and not self.clip_grad_norm > 0:
            raise UsageError(
                f"training.clip_grad_norm is {self.clip_grad_norm}; it must be above 0 (leave it out for no clipping)."
            )
        if self.evaluations > self.steps:
            object.__setattr__(self, "evaluations", self.steps)
