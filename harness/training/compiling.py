"""Blocks whose real-valued part is compiled: dropout, activation, channel mixing and residual in one graph each.

Random numbers are drawn as in eager mode, so that dropout is the same. The state space layer stays as it is, because
torch.compile makes no loops of complex numbers, and norms do, which are one kernel each. A part that cannot be compiled
whole is an error, never run eagerly in silence.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
import torch._dynamo

from harness.errors import EnvironmentProblem
from harness.kernels.compiled import OFF, SHAPES_OF_A_PROCESS
from harness.ssm.block import Block
from harness.ssm.model import Model

# A pool of compiler processes would outlive a trial, which runs in a fork of its own.
OPTIONS: dict[str, Any] = {"fallback_random": True, "compile_threads": 1}


def compile_blocks(model: Model, device: str) -> None:
    """Compile every block of `model` at its first call. Raises EnvironmentProblem where nothing can be compiled."""
    for name in OFF:
        if os.environ.get(name) == "1":
            raise EnvironmentProblem(
                f"training.compile is true, but the environment variable {name}=1 turns torch.compile off. Unset it, "
                f"or set training.compile = false."
            )
    compiler = os.environ.get("CXX") or "g++"
    if device == "cpu" and shutil.which(compiler) is None:
        raise EnvironmentProblem(
            f"training.compile is true and needs a C++ compiler, but '{compiler}' is not on the path. Install g++, "
            f"name one in the environment variable CXX, or set training.compile = false."
        )
    for block in model.blocks:
        assert isinstance(block, Block)
        run = torch.compile(block.mixed, fullgraph=True, options=OPTIONS)
        block.compiled = functools.partial(_called, run)


def _called(run: Callable[..., Any], *tensors: torch.Tensor) -> torch.Tensor:
    # Training and evaluation, and batches of other lengths, are compiled once more each.
    with torch._dynamo.config.patch(recompile_limit=SHAPES_OF_A_PROCESS):
        return torch.as_tensor(run(*tensors))
