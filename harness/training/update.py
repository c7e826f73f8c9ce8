"""One update of the parameters: the gradient of a batch, looked at, perhaps clipped, and a step of the optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from harness.errors import Diverged
from harness.kernels.parts import part
from harness.ssm.model import Model
from harness.tasks.task import Batch, Task
from harness.training.accumulate import backward
from harness.training.config import AdamW
from harness.training.groups import gradient_norms, groups, not_finite, scale_gradients
from harness.training.precision import forward


@dataclass
class Update:
    """Updates of `model` on batches of `task`."""

    config: AdamW
    task: Task
    model: Model

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.AdamW(groups(self.model, self.config), lr=self.config.lr)

    def __call__(self, batch: Batch, factor: float, step: int) -> tuple[float, list[float]]:
        """The loss and the gradient's norm in each parameter group, rates times `factor`; this is update number `step`.

        Raises Diverged, the parameters as they were, where the loss or a gradient is not finite.
        """
        optimiser, config = self.optimiser, self.config
        self.model.train()
        with part("optimiser"):
            optimiser.zero_grad(set_to_none=True)
        loss = backward(self.loss, batch, config.accumulate)
        with part("optimiser"):
            norms = gradient_norms(optimiser.param_groups)
            # One transfer from the device for everything that is looked at in a step.
            value, *by_group = torch.cat([loss.reshape(1), norms]).tolist()
            self._check(value, by_group, step)
            norm = math.hypot(*by_group)
            if config.clip_grad_norm is not None and norm > config.clip_grad_norm:
                scale_gradients(optimiser.param_groups, config.clip_grad_norm / norm)
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor
            optimiser.step()
        return value, by_group

    def loss(self, batch: Batch) -> torch.Tensor:
        """The mean loss of the batch, differentiable."""
        outputs = forward(self.model, batch, self.config.precision)
        with part("loss"):
            return self.task.loss(outputs, batch)

    def _check(self, loss: float, norms: list[float], step: int) -> None:
        if not math.isfinite(loss):
            names = not_finite(self.optimiser.param_groups)
            cause = f"parameters not finite in: {', '.join(names)}" if names else "every parameter was still finite"
            raise Diverged(f"The training loss was {loss} at step {step}; {cause}.")
        pairs = zip(self.optimiser.param_groups, norms, strict=True)
        if names := [group["name"] for group, norm in pairs if not math.isfinite(norm)]:
            raise Diverged(f"The gradient was not finite at step {step} (loss {loss:.4g}), in: {', '.join(names)}.")
