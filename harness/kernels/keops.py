"""Diagonal kernels through PyKeOps, what S4's and S4D's users have today: compiled sums, nothing materialised.

    K_l = 2 sum_n exp(l Re x_n) (Re w_n cos(l Im x_n) - Im w_n sin(l Im x_n)),   x = log Abar, w = C Bbar

The first call of a process makes sure that the formula and its gradients compile, under a lock, because several
processes that fill an empty cache at once corrupt it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.errors import EnvironmentProblem
from harness.kernels.backend import Backend, Diagonal, Request, StateSpace

if TYPE_CHECKING:
    import torch

FORMULA = "Exp(Elem(x, 0) * l) * (Elem(w, 0) * Cos(Elem(x, 1) * l) - Elem(w, 1) * Sin(Elem(x, 1) * l))"
ARGUMENTS = ("l = Vi(1)", "w = Vj(2)", "x = Vj(2)")
Sum = Callable[..., Any]


@dataclass(frozen=True)
class KeOps(Backend):
    """Diagonal kernels through PyKeOps, compiled at the first call; O(H(N + L)) memory, H n L exponentials.

    In float32 it rounds l log Abar like the reference, so undamped modes lose about l |Im log Abar| 2^-24.

    Source: the log-Vandermonde sum of the official S4D code (Gu et al. 2022), which is PyKeOps's there too.
    """

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        reasons = [*self.whole_kernels_only(request)]
        if request.structure != "diagonal":
            reasons.append(
                f"The backend 'keops' serves the structure 'diagonal', but got '{request.structure}'. "
                f"Use the backend 'krylov' for it."
            )
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

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L). Raises EnvironmentProblem with the compiler's own words when compiling fails."""
        self.require(request)
        assert isinstance(ssm, Diagonal)
        import torch

        from harness.kernels.discretize import discretize_diagonal

        step = discretize_diagonal(ssm, request.discretization)
        dtype = getattr(torch, request.dtype)
        device = "GPU" if ssm.A.is_cuda else "CPU"
        reduce = compiled(request.dtype, device, request.gradients)
        l = torch.arange(request.length, dtype=dtype, device=ssm.A.device)[None, :, None]  # noqa: E741
        w = _pairs((ssm.C * step.B).flatten(0, 1), dtype)
        x = _pairs(step.log_A.expand_as(ssm.C).flatten(0, 1), dtype)
        sums = reduce(l.expand(len(w), -1, -1).contiguous(), w, x, backend=device)
        kernel: torch.Tensor = 2 * sums.reshape(*ssm.C.shape[:2], request.length)
        return kernel


@functools.cache
def compiled(dtype: str, device: str, gradients: bool) -> Sum:
    """The sum over modes, compiled (and with `gradients` its backward too) by really running it once."""
    # Set before the import, which prints; both packages read their own.
    os.environ.setdefault("KEOPS_VERBOSE", "0")
    os.environ.setdefault("PYKEOPS_VERBOSE", "0")
    import pykeops
    import torch
    from pykeops.torch import Genred

    reduce: Sum = Genred(FORMULA, list(ARGUMENTS), reduction_op="Sum", axis=1)
    place = {"dtype": getattr(torch, dtype), "device": "cuda" if device == "GPU" else "cpu"}
    l, w, x = (torch.ones(1, 2, d, requires_grad=gradients and d == 2, **place) for d in (1, 2, 2))  # noqa: E741
    words = io.StringIO()
    with _lock(Path(pykeops.get_build_folder())), contextlib.redirect_stdout(words), torch.enable_grad():
        pykeops.set_verbose(True)
        try:
            tiny = reduce(l, w, x, backend=device)
            if gradients:
                torch.autograd.grad(tiny.sum(), (w, x))
        except Exception as error:
            raise EnvironmentProblem(
                f"PyKeOps could not compile or run its {dtype} formula on the {device}: "
                f"{type(error).__name__}: {error} {words.getvalue().strip()}"
            ) from error
        finally:
            pykeops.set_verbose(False)
    return reduce


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    import fcntl

    with (folder / "harness.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _pairs(z: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    import torch

    return torch.view_as_real(z.to(dtype.to_complex())).contiguous()
