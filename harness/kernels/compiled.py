"""The `compiled` backend: the reference's diagonal sum in real arithmetic, fused by torch.compile; the honest baseline.

    K_l = 2 sum_n 2^(l p_n) (Re w_n cos(l Im x_n) - Im w_n sin(l Im x_n)),   p = Re x / ln 2, x = log Abar, w = C Bbar

Inductor fuses the sum and its gradients into loops that keep nothing of size n L. On the CPU it would keep every exp
that two gradients share (`ir.py`, heavy_ops), of size n L, hence 2^.
"""

from __future__ import annotations

import functools
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.errors import EnvironmentProblem
from harness.kernels.backend import Backend, Diagonal, Request, StateSpace

if TYPE_CHECKING:
    import torch

SHAPES_OF_A_PROCESS = 1000
"""torch.compile stops at 8 shapes of a function; with fullgraph it does so by an error, never by running eagerly."""
OFF = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")


@dataclass(frozen=True)
class Compiled(Backend):
    """Diagonal kernels: the plain sum in real arithmetic under torch.compile, one loop that materialises nothing.

    Compiled anew for every shape, seconds each. In float32 it rounds l log Abar like the reference, so undamped
    modes lose about l |Im log Abar| 2^-24.

    Source: the sum is that of S4D (Gu et al. 2022); torch.compile makes no loop of its complex form.
    """

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        reasons = [*self.whole_kernels_only(request)]
        if request.structure != "diagonal":
            reasons.append(
                f"The backend 'compiled' needs a diagonal A, but the structure is '{request.structure}'. "
                f"Use the backend 'krylov', or the structure 'diagonal'."
            )
        for name in OFF:
            if os.environ.get(name) == "1":
                reasons.append(f"The environment variable {name}=1 turns torch.compile off. Unset it.")
        compiler = os.environ.get("CXX") or "g++"
        if request.device == "cpu" and shutil.which(compiler) is None:
            reasons.append(
                f"The backend 'compiled' needs a C++ compiler, but '{compiler}' is not on the path. "
                f"Install g++, or name one in the environment variable CXX."
            )
        return tuple(reasons)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L). Raises EnvironmentProblem with the compiler's own words when compiling fails."""
        self.require(request)
        assert isinstance(ssm, Diagonal)
        import torch

        from harness.kernels.discretize import discretize_diagonal

        step = discretize_diagonal(ssm, request.discretization)
        dtype = getattr(torch, request.dtype)
        w, x = ssm.C * step.B, step.log_A
        # Copies, so that equal shapes have equal strides too: those of a view would be compiled anew.
        parts = [
            part.to(dtype, copy=True, memory_format=torch.contiguous_format)
            for part in (w.real, w.imag, x.real / math.log(2), x.imag)
        ]
        run = compiled(
            request.length,
            tuple((part.shape, part.requires_grad) for part in parts),
            (dtype, parts[0].device, torch.is_grad_enabled()),
            torch.are_deterministic_algorithms_enabled(),
        )
        kernel: torch.Tensor = run(*parts, request.length)
        return kernel


def plain(wr: torch.Tensor, wi: torch.Tensor, p: torch.Tensor, xi: torch.Tensor, length: int) -> torch.Tensor:
    """The sum as it is written: w (K, H, n) in its two parts, p and Im x (H, n) -> (K, H, L)."""
    import torch

    l = torch.arange(length, dtype=p.dtype, device=p.device)  # noqa: E741
    wr, wi, p, xi = (part[..., None] for part in (wr, wi, p, xi))
    return 2 * (torch.exp2(l * p) * (wr * torch.cos(l * xi) - wi * torch.sin(l * xi))).sum(-2)


@functools.cache
def compiled(length: int, parts: tuple[Any, ...], place: tuple[Any, ...], deterministic: bool) -> Callable[..., Any]:
    """`plain` for these shapes, forward and backward compiled by really running them once.

    `deterministic` is the state of torch, to which torch.compile ties what it compiles.
    """
    import torch
    import torch._dynamo
    import torch._inductor.config

    run: Callable[..., Any] = torch.compile(plain, fullgraph=True, dynamic=False)
    dtype, device, recording = place
    full = [torch.full(shape, -1.0, dtype=dtype, device=device).requires_grad_(needs) for shape, needs in parts]
    # A pool of compiler processes would outlive a trial, which runs in a fork of its own.
    with (
        torch._dynamo.config.patch(recompile_limit=SHAPES_OF_A_PROCESS),
        torch._inductor.config.patch(compile_threads=1),
        torch.set_grad_enabled(recording),
    ):
        try:
            sums = run(*full, length)
            if sums.requires_grad:
                torch.autograd.grad(sums.sum(), [part for part in full if part.requires_grad])
        except Exception as error:
            raise EnvironmentProblem(
                f"torch.compile could not compile or run the diagonal sum on {device}: {type(error).__name__}: {error}"
            ) from error
    return run
