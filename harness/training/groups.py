"""Parameter groups of the official recipes: the state space moves slowly and is not pulled to zero.

    group      parameters                       learning rate   weight decay
    A, B, P    the state space of every layer   lr_ssm          0
    dt         the step sizes of every layer    lr_dt           0
    C          where lr_C is not lr             lr_C            weight_decay
    plain      biases, norms and embeddings     lr              0
    rest       everything else, C and D too     lr              weight_decay

As in the official code (Gu et al., github.com/state-spaces/s4), with two choices of our own: B always moves with A,
which there only some recipes say, and the input embedding and the head's bias are not decayed, which there are. With
`decay = "official"` everything of encoder and head is in `rest`, with "all" (the code of S4's first version) every bias
and norm too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from harness.ssm.model import Model
from harness.training.config import AdamW

STATE_SPACE = ("A", "B", "P", "dt")
UNDECAYED = (nn.Embedding, nn.LayerNorm, nn.modules.batchnorm._BatchNorm)
Group = dict[str, Any]


def groups(model: Model, config: AdamW) -> list[Group]:
    """AdamW's parameter groups, each with its `name` and `base_lr`; empty ones and frozen parameters are left out."""
    assert config.lr_dt is not None and config.lr_C is not None
    by_name = model.ssm_parameters()
    named = {name: by_name[name] for name in STATE_SPACE}
    if config.lr_C != config.lr:
        named["C"] = [p for layer in model.layers for name, p in layer.ssm.named_parameters() if name == "C"]
    taken = {id(parameter) for members in named.values() for parameter in members}
    reach: dict[str, list[nn.Module]] = {"weights": [], "official": [model.encoder, model.head], "all": [model]}
    undecayed = {id(p) for p in _plain(model)} - {id(p) for module in reach[config.decay] for p in module.parameters()}
    others = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    named["plain"] = [parameter for parameter in others if id(parameter) in undecayed]
    named["rest"] = [parameter for parameter in others if id(parameter) not in undecayed]
    rates = {"A": config.lr_ssm, "B": config.lr_ssm, "P": config.lr_ssm, "dt": config.lr_dt, "C": config.lr_C}
    found = []
    for name, members in named.items():
        if trained := [parameter for parameter in members if parameter.requires_grad]:
            rate = rates.get(name, config.lr)
            decay = config.weight_decay if name in ("rest", "C") else 0.0
            found.append({"name": name, "params": trained, "lr": rate, "base_lr": rate, "weight_decay": decay})
    return found


def gradient_norms(groups: list[Group]) -> torch.Tensor:
    """The 2-norm of each group's gradient (G,) float64; zero where no gradient arrived."""
    norms = []
    for group in groups:
        parts = [torch.linalg.vector_norm(p.grad).double() for p in group["params"] if p.grad is not None]
        zero = torch.zeros((), dtype=torch.float64, device=group["params"][0].device)
        norms.append(torch.linalg.vector_norm(torch.stack(parts)) if parts else zero)
    return torch.stack(norms)


def scale_gradients(groups: list[Group], factor: float) -> None:
    """Multiply every gradient, in place."""
    for group in groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)


def not_finite(groups: list[Group]) -> list[str]:
    """The names of the groups that hold a parameter which is not finite."""
    return [group["name"] for group in groups if not all(bool(torch.isfinite(p).all()) for p in group["params"])]


def _plain(model: nn.Module) -> list[nn.Parameter]:
    return [
        parameter
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if name == "bias" or isinstance(module, UNDECAYED)
    ]
