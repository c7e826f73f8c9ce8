"""The training loop: one update after another, looked at where the plan says, resumable between any two of them."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from harness.errors import Interrupted
from harness.ssm.model import Model
from harness.tasks.task import Data, Task
from harness.training import checkpoint
from harness.training.checkpoint import Content, Progress
from harness.training.config import AdamW
from harness.training.drift import Drift
from harness.training.escape import Escape
from harness.training.evaluate import Scores, better, check_finite, evaluate, moved
from harness.training.journal import Journal
from harness.training.schedule import Plateau, multiplier, spaced
from harness.training.update import Update
from harness.training.usage import Usage

TRAIN_ROWS = 50
"""Evenly spaced rows of the training loss, besides those at the evaluations."""
CHECKPOINT_S = 600.0
"""A checkpoint is also written when the last one is this old, so that a long trial loses minutes, not hours."""


@dataclass
class Training:
    """A training run: what it reads, and the `progress` that it changes."""

    config: AdamW
    task: Task
    data: Data
    model: Model
    device: torch.device
    order_seed: int
    journal: Journal
    stop: Callable[[], bool]
    folder: Path | None
    """Where checkpoints go; None for none."""
    origin: dict[str, str]
    """What a checkpoint must share with the run that goes on from it, such as the data's fingerprint."""
    progress: Progress = field(default_factory=Progress)
    plateau: Plateau = field(default_factory=Plateau)
    escape: Escape = field(default_factory=Escape)

    def __post_init__(self) -> None:
        self.drift = Drift(self.model)
        self.usage = Usage(self.device.type)
        self.update = Update(self.config, self.task, self.model)
        self.optimiser = self.update.optimiser
        self.evaluations = frozenset(spaced(self.config.steps, self.config.evaluations))
        self.loss_rows = self.evaluations | set(spaced(self.config.steps, TRAIN_ROWS))
        self._saved: tuple[int, int] | None = None
        self._saved_at = time.monotonic()
        self._warm = False

    def run(self) -> None:
        """Train to the last step, evaluate, and load the state that was best on validation (the earliest of equals).

        Raises Diverged at the first loss, gradient or validation score that is not finite, and Interrupted, its
        checkpoint written, once `stop()` is true; it is asked before every step and every batch of an evaluation.
        """
        progress = self.progress
        try:
            while True:
                if progress.step in self.evaluations and progress.evaluated < progress.step:
                    self._evaluate()
                    self._save()
                if progress.step == self.config.steps:
                    break
                if self.stop():
                    raise Interrupted("The trial was asked to stop.")
                if time.monotonic() - self._saved_at > CHECKPOINT_S:
                    self._save()
                self._step()
        except Interrupted as asked:
            self._save()
            kept = f"its checkpoint is at step {progress.step}" if self.folder else "it keeps no checkpoints"
            raise Interrupted(
                f"Stopped on request after step {progress.step} of {self.config.steps}; {kept}."
            ) from asked
        self.model.load_state_dict(progress.best_state)

    def test(self) -> None:
        """Emit the metrics on "test" of the loaded state, and the clocks. Called once, after `run`."""
        progress = self.progress
        scores = self._scores("test")
        for name, value in scores.metrics.items():
            self.journal.metric(name, value, step=progress.best_step, split="test")
        for name, value in self.task.standard_errors(*scores).items():
            self.journal.metric(f"{name}_standard_error", value, step=progress.best_step, split="test")
        if self._guess(scores) is not None:
            for name, value, unit in self.escape.metrics(self.data.steps_per_epoch(self.config.batch_size)):
                self.journal.metric(name, value, step=progress.step, split="run", unit=unit)
        clocks = {"first_step_s": progress.first_step_s, "train_s": progress.train_s, "eval_s": progress.eval_s}
        for name, seconds in clocks.items():
            self.journal.metric(name, seconds, step=progress.step, split="run", unit="s")
        if progress.timed_steps:
            rate = progress.timed_steps * self.config.batch_size / progress.train_s
            self.journal.metric("sequences_per_s", rate, step=progress.step, split="run", unit="1/s")

    def restore(self, content: Content) -> None:
        """Go on exactly where the checkpoint `content` was written."""
        self.progress = Progress(**content["progress"])
        self.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.plateau, self.escape = Plateau(**content["plateau"]), Escape(**content["escape"])
        checkpoint.restore_random_state(content["random"])
        self._saved = (self.progress.step, self.progress.evaluated)

    def _step(self) -> None:
        progress, config = self.progress, self.config
        began = time.perf_counter()
        batch = moved(self.data.train_batch(progress.step, config.batch_size, self.order_seed), self.device)
        factor = multiplier(progress.step, config) * self.plateau.scale
        value, by_group = self.update(batch, factor, progress.step + 1)
        progress.step += 1
        progress.loss_sum += value
        progress.loss_steps += 1
        self._clock(time.perf_counter() - began)
        if progress.step in self.loss_rows:
            self._loss_rows(math.hypot(*by_group), by_group, config.lr * factor)

    def _clock(self, seconds: float) -> None:
        # A first step compiles and warms up; its time would distort the rate of the others.
        if self._warm:
            self.progress.train_s += seconds
            self.progress.timed_steps += 1
        elif self.progress.step == 1:
            self.progress.first_step_s += seconds
        self._warm = True

    def _loss_rows(self, norm: float, by_group: list[float], lr: float) -> None:
        progress = self.progress
        step = progress.step
        self.journal.metric("loss", progress.loss_sum / progress.loss_steps, step=step, split="train")
        self.journal.metric("grad_norm", norm, step=step, split="train")
        self.journal.metric("lr", lr, step=step, split="train")
        if step in self.evaluations:
            for group, part in zip(self.optimiser.param_groups, by_group, strict=True):
                self.journal.metric(f"grad_norm/{group['name']}", part, step=step, split="train")
        progress.loss_sum, progress.loss_steps = 0.0, 0

    def _evaluate(self) -> None:
        progress, task = self.progress, self.task
        scores = self._scores("val")
        # Before any row is written, because a stop in the middle of it repeats the whole evaluation.
        test = self._scores("test").metrics if self.config.test_at == "evaluations" else {}
        check_finite(scores.metrics, task, "validation", progress.step)
        for name, value in scores.metrics.items():
            self.journal.metric(name, value, step=progress.step, split="val")
        for name, value in self.drift.metrics(self.model).items():
            self.journal.metric(name, value, step=progress.step, split="drift")
        for name, value in test.items():
            self.journal.metric(name, value, step=progress.step, split="test_curve")
        for name, value, unit in self.usage.metrics():
            self.journal.metric(name, value, step=progress.step, split="system", unit=unit)
        score = scores.metrics[task.primary]
        if (guess := self._guess(scores)) is not None:
            self.escape.see(score, *guess, progress.step, progress.first_step_s + progress.train_s)
        if self.config.schedule == "plateau":
            self.plateau.see(score, task.higher_is_better, self.config)
        if better(score, progress.best_score, task.higher_is_better):
            progress.best_score, progress.best_step = score, progress.step
            state = self.model.state_dict()
            progress.best_state = {name: value.detach().cpu().clone() for name, value in state.items()}
        progress.evaluated = progress.step

    def _scores(self, split: str) -> Scores:
        began = time.perf_counter()
        found = evaluate(self.model, self.task, self.data, split, self.config, self.device, self.stop)
        self.progress.eval_s += time.perf_counter() - began
        return found

    @functools.cached_property
    def _chance(self) -> float | None:
        return self.data.references().get("chance")

    def _guess(self, scores: Scores) -> tuple[float, float] | None:
        """Chance and its standard error over as many examples as `scores` are of, where the task knows them."""
        task = self.task
        # References may be dear to work out, and most tasks have no use for them here.
        if task.primary not in task.standard_errors(*scores) or self._chance is None:
            return None
        return self._chance, task.standard_errors({task.primary: self._chance}, scores.counts)[task.primary]

    def _save(self) -> None:
        now = (self.progress.step, self.progress.evaluated)
        if self.folder is None or now == self._saved:
            return
        content = {
            "origin": self.origin,
            "progress": vars(self.progress),
            "plateau": vars(self.plateau),
            "escape": vars(self.escape),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": checkpoint.random_state(),
        }
        checkpoint.save(self.folder, self.journal.rows + 1, content)
        self.journal.row({"row": "checkpoint", "step": self.progress.step})
        self._saved, self._saved_at = now, time.monotonic()
