"""The `s4_cuda` backend: the official S4 code's CUDA extension, where a user has built it."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.kernels.backend import DPLR, Backend, Diagonal, Request, StateSpace
from harness.kernels.cauchy import bilinear_only, conditioned

if TYPE_CHECKING:
    import torch

MODULE = "structured_kernels"
PAIRS = tuple(2**k for k in range(1, 11))
"""The n that the extension has code for."""


@dataclass(frozen=True)
class S4Cuda(Backend):
    """Diagonal and DPLR kernels by the official S4 code's CUDA extension, in complex64 on a CUDA device.

    DPLR takes the route of `cauchy`, with its errors; diagonal rounds l log Abar like the reference. The calls, their
    conventions and their gradients are tested against a stand-in of the same signatures; this backend has not been
    run on a GPU by this project.

    Source: extensions/kernels of github.com/state-spaces/s4 at e757cef (Gu et al. 2022).
    """

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        reasons = [*self.whole_kernels_only(request)]
        if request.structure == "dense":
            reasons.append(
                "The backend 's4_cuda' serves the structures 'diagonal' and 'dplr', but got 'dense'. "
                "Use the backend 'krylov' for it."
            )
        if request.structure == "dplr" and request.discretization != "bilinear":
            reasons.append(bilinear_only("s4_cuda", request))
        if request.device != "cuda":
            reasons.append(
                f"The backend 's4_cuda' runs on a CUDA device, but the device is '{request.device}'. "
                f"Use the backend 'cauchy' or 'keops' there."
            )
        if request.dtype != "float32":
            reasons.append(
                f"The backend 's4_cuda' computes in float32, but got '{request.dtype}'. Use 'cauchy' for it."
            )
        if request.state % 2 or request.state // 2 not in PAIRS:
            reasons.append(
                f"The backend 's4_cuda' has code for powers of 2 from {2 * PAIRS[0]} to {2 * PAIRS[-1]}, "
                f"but the state size is {request.state}. Change d_state, or use the backend 'keops'."
            )
        if importlib.util.find_spec(MODULE) is None:
            reasons.append(
                f"The backend 's4_cuda' needs the module {MODULE}, which is not installed. "
                f"Build extensions/kernels of github.com/state-spaces/s4 on a machine with a GPU."
            )
        if not reasons and (problem := import_error()):
            reasons.append(f"The module {MODULE} is installed and does not load: {problem}.")
        return tuple(reasons)

    def conditioned(self, ssm: StateSpace, request: Request) -> torch.Tensor | None:
        """For DPLR, the route's: see `cauchy.conditioned`."""
        return conditioned(ssm, request)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L)."""
        self.require(request)
        from harness.kernels import s4_cuda_sums

        if isinstance(ssm, DPLR):
            from harness.kernels.generating import generating

            return generating(ssm, request, s4_cuda_sums.cauchy)
        assert isinstance(ssm, Diagonal)
        from harness.kernels.discretize import discretize_diagonal

        step = discretize_diagonal(ssm, request.discretization)
        return s4_cuda_sums.vandermonde(ssm.C * step.B, step.log_A, request.length)


@functools.cache
def import_error() -> str | None:
    """The error of importing the extension, which links torch: asked only where everything else fits."""
    import torch  # noqa: F401

    try:
        importlib.import_module(MODULE)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
