"""The two sums that PyKeOps compiles: over the modes of a diagonal A, and over the pairs of a Cauchy sum.

Vandermonde, with x = log Abar and w = C Bbar, at l:

    exp(l Re x) (Re w cos(l Im x) - Im w sin(l Im x))

Cauchy, with y = 2is, of the quotient (a c + i 2 b s) / (p + iq) that `cauchy.py` derives:

    a = -2 Re(v conj d),  b = 2 Re v,  p = (c Re d)^2 - (2s - c Im d) (2s + c Im d),  q = -4 c s Re d

The first call of a process makes sure that a formula and its gradients compile, under a lock, because several
processes that fill an empty cache at once corrupt it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.errors import EnvironmentProblem
from harness.kernels.backend import Request

if TYPE_CHECKING:
    import torch

    from harness.kernels.generating import Nodes

Sum = Callable[..., Any]


class Formula(NamedTuple):
    """A term of a sum, and its arguments: the outputs i by one variable, the summed j by two."""

    term: str
    arguments: tuple[str, str, str]
    sizes: tuple[int, int, int]


VANDERMONDE = Formula(
    "Exp(Elem(x, 0) * l) * (Elem(w, 0) * Cos(Elem(x, 1) * l) - Elem(w, 1) * Sin(Elem(x, 1) * l))",
    ("l = Vi(1)", "w = Vj(2)", "x = Vj(2)"),
    (1, 2, 2),
)
_C, _S = "Elem(y, 0)", "Elem(y, 1)"
_REAL, _IMAG = f"(Elem(v, 0) * {_C})", f"(Elem(v, 1) * {_S})"
_P = f"(Square({_C} * Elem(d, 0)) - (IntCst(2) * {_S} - {_C} * Elem(d, 1)) * (IntCst(2) * {_S} + {_C} * Elem(d, 1)))"
_Q = f"(IntCst(-4) * {_C} * {_S} * Elem(d, 0))"
CAUCHY = Formula(
    f"Concat({_REAL} * {_P} + {_IMAG} * {_Q}, {_IMAG} * {_P} - {_REAL} * {_Q}) / (Square({_P}) + Square({_Q}))",
    ("y = Vi(2)", "v = Vj(2)", "d = Vj(2)"),
    (2, 2, 2),
)


def vandermonde(w: torch.Tensor, x: torch.Tensor, request: Request) -> torch.Tensor:
    """2 Re sum_n w_n exp(l x_n) for l < L: w (K, H, n), x (H, n) complex128 -> (K, H, L) in `request.dtype`."""
    import torch

    dtype = getattr(torch, request.dtype)
    l = torch.arange(request.length, dtype=dtype, device=w.device)[:, None]  # noqa: E741
    sums = _reduce(VANDERMONDE, l, _pairs(w.to(dtype.to_complex())), _pairs(x.to(dtype.to_complex())), request)
    return 2 * sums[..., 0]


def cauchy(v: torch.Tensor, d: torch.Tensor, nodes: Nodes, request: Request) -> torch.Tensor:
    """g (J, H, F) complex of v (J, H, n), d (H, n) at homogeneous nodes; every row divides anew, as in S4."""
    import torch

    y = torch.stack((nodes.c, nodes.y.imag / 2), dim=-1)
    v = torch.stack((-2 * (v * d.conj()).real, 4 * v.real), dim=-1)
    return torch.view_as_complex(_reduce(CAUCHY, y, v, _pairs(d), request))


def _reduce(formula: Formula, i: torch.Tensor, u: torch.Tensor, v: torch.Tensor, request: Request) -> torch.Tensor:
    """The sum (J, H, F, D) of i (F, .), u (J, H, n, 2), v (H, n, 2)."""
    J, H = u.shape[:2]
    device = "GPU" if u.is_cuda else "CPU"
    reduce = compiled(formula, request.dtype, device, request.gradients)
    batched = i.expand(J * H, *i.shape).contiguous()
    sums: torch.Tensor = reduce(
        batched, u.flatten(0, 1).contiguous(), v.expand(J, *v.shape).flatten(0, 1).contiguous(), backend=device
    )
    return sums.view(J, H, *sums.shape[1:])


def _pairs(z: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.view_as_real(z.resolve_conj())


@functools.cache
def compiled(formula: Formula, dtype: str, device: str, gradients: bool) -> Sum:
    """The sum of a formula, compiled (and with `gradients` its backward too) by really running it once."""
    # Set before the import, which prints; both packages read their own.
    os.environ.setdefault("KEOPS_VERBOSE", "0")
    os.environ.setdefault("PYKEOPS_VERBOSE", "0")
    import pykeops
    import torch
    from pykeops.torch import Genred

    reduce: Sum = Genred(formula.term, list(formula.arguments), reduction_op="Sum", axis=1)
    place = {"dtype": getattr(torch, dtype), "device": "cuda" if device == "GPU" else "cpu"}
    i, u, v = (torch.ones(1, 2, size, **place) for size in formula.sizes)
    words = io.StringIO()
    with _lock(Path(pykeops.get_build_folder())), contextlib.redirect_stdout(words), torch.enable_grad():
        pykeops.set_verbose(True)
        try:
            tiny = reduce(i, u.requires_grad_(gradients), v.requires_grad_(gradients), backend=device)
            if gradients:
                torch.autograd.grad(tiny.sum(), (u, v))
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
