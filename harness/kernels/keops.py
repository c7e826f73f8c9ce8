"""The `keops` backend: what S4's and S4D's users have today. The sums that are compiled are in `keops_sums.py`."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.kernels.backend import DPLR, Backend, Diagonal, Request, StateSpace
from harness.kernels.cauchy import bilinear_only, conditioned

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class KeOps(Backend):
    """Diagonal and DPLR kernels by PyKeOps: sums compiled at the first call, nothing of size n L materialised.

    Diagonal, H n L exponentials: in float32 it rounds l log Abar like the reference, so undamped modes lose about
    l |Im log Abar| 2^-24. DPLR: the route and the errors of `cauchy`, (1 + R)^2 H n L/2 quotients.

    Source: the sums of the official S4 and S4D code (Gu et al. 2022), which are PyKeOps's there too.
    """

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        reasons = [*self.whole_kernels_only(request)]
        if request.structure == "dense":
            reasons.append(
                "The backend 'keops' serves the structures 'diagonal' and 'dplr', but got 'dense'. "
                "Use the backend 'krylov' for it."
            )
        if request.structure == "dplr" and request.discretization != "bilinear":
            reasons.append(bilinear_only("keops", request))
        if importlib.util.find_spec("pykeops") is None:
            reasons.append(
                "The backend 'keops' needs the package pykeops, which is not installed: pip install pykeops."
            )
        compiler = (os.environ.get("CXX") or "g++").split()[0]
        if shutil.which(compiler) is None:
            reasons.append(
                f"The backend 'keops' needs a C++ compiler, but '{compiler}' is not on the path. "
                f"Install g++, or name one in the environment variable CXX."
            )
        return tuple(reasons)

    def conditioned(self, ssm: StateSpace, request: Request) -> torch.Tensor | None:
        """For DPLR, the route's: see `cauchy.conditioned`."""
        return conditioned(ssm, request)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L). Raises EnvironmentProblem with the compiler's own words when compiling fails."""
        self.require(request)
        import functools

        from harness.kernels import keops_sums

        if isinstance(ssm, DPLR):
            from harness.kernels.generating import generating

            return generating(ssm, request, functools.partial(keops_sums.cauchy, request=request))
        assert isinstance(ssm, Diagonal)
        from harness.kernels.discretize import discretize_diagonal

        step = discretize_diagonal(ssm, request.discretization)
        return keops_sums.vandermonde(ssm.C * step.B, step.log_A, request)
