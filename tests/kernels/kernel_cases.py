"""What every kernel test shares: random state spaces, the float64 truth, and the check that a backend answers to.

The tolerance of a result is twice the reference's own error in that dtype, plus a rounding band. The error is the
worse of the two discretisations', which are alike in conditioning: one alone can be small by chance. In float64 the
reference and the truth are the same sums, so the float32 error, scaled by the ratio of the unit roundoffs 2^-29,
stands for the conditioning of the case. The band: an entry
of the kernel is a product of at most log2 L + 4 complex factors (anchors or squarings, B, C), each of which adds at
most 3 unit roundoffs of the dtype; and in float64 the truth rounds its state L times, and the discretisation is
about ten matrix products with N roundings an entry.

A formula may be worse conditioned than the kernel, as Cauchy sums are. Its backends are allowed four times what it
costs to round only what the formula magnifies: `Backend.conditioned`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, NamedTuple, get_args

import torch

from harness.bases import BASES
from harness.kernels.backend import DPLR, Backend, Dense, Diagonal, Discretization, Request, StateSpace
from harness.kernels.reference import Reference, recurrence
from harness.registry import lookup
from harness.ssm.config import S4
from harness.ssm.parameters import make_parameters
from harness.ssm.timescale import LogUniform

Results = dict[str, torch.Tensor]


class Shape(NamedTuple):
    length: int
    heads: int
    pairs: int
    channels: int


SHAPES = (
    Shape(1, 3, 4, 2),
    Shape(2, 1, 1, 1),
    Shape(7, 2, 3, 1),
    Shape(97, 3, 1, 2),
    Shape(256, 1, 4, 1),
    Shape(1000, 2, 5, 2),
)


def request_for(structure: Any, discretization: Any, dtype: Any, shape: Shape) -> Request:
    rank = 2 if structure == "dplr" else 0
    return Request(
        structure, discretization, shape.heads, 2 * shape.pairs, shape.length, rank, shape.channels, dtype=dtype
    )


def sample(request: Request, basis: str | None = None) -> StateSpace:
    """A state space, random and stable or of a basis, the same for the same request: leaves that require gradients."""
    if basis is not None:
        return initialised(request, basis)
    H, n, K, R = request.heads, request.state // 2, request.channels, request.rank
    draw = torch.Generator().manual_seed(H + 10 * n + 100 * K)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.complex128, generator=draw)

    dt = torch.logspace(-2.5, -0.5, H, dtype=torch.float64)
    if request.structure == "dense":
        skew = normal(H, 2 * n, 2 * n).real
        A = skew - skew.mT - torch.diag_embed(torch.rand(H, 2 * n, dtype=torch.float64, generator=draw))
        return leaves(Dense(A, normal(H, 2 * n).real, normal(K, H, 2 * n).real, dt))
    A = torch.complex(
        -torch.rand(H, n, dtype=torch.float64, generator=draw), 3.0 * torch.arange(n).double().expand(H, n)
    )
    if request.structure == "dplr":
        return leaves(DPLR(A, normal(H, n), 0.5 * normal(H, R, n), normal(K, H, n), dt))
    return leaves(Diagonal(A, normal(H, n), normal(K, H, n), dt))


def initialised(request: Request, basis: str) -> StateSpace:
    """A layer of that basis as a trial initialises it."""
    N, K, H = request.state, request.channels, request.heads
    config = S4(d_model=H, d_state=N, structure=request.structure, bidirectional=K == 2)
    C = torch.randn(K, H, N, dtype=torch.float64, generator=torch.Generator().manual_seed(N))
    u = torch.linspace(0, 1, H, dtype=torch.float64)
    return leaves(make_parameters(config, lookup("basis", BASES, basis)(), LogUniform(), C, u).state_space())


def leaves(ssm: Any) -> Any:
    return dataclasses.replace(
        ssm, **{name: value.detach().clone().requires_grad_() for name, value in vars(ssm).items()}
    )


def weights(kernel: torch.Tensor) -> torch.Tensor:
    """A fixed random functional of the kernel, so that a gradient has no symmetry to hide a fault behind."""
    draw = torch.Generator().manual_seed(kernel.shape[-1])
    return torch.randn(kernel.shape, dtype=torch.float64, generator=draw)


def results(ssm: StateSpace, kernel: torch.Tensor) -> Results:
    """The kernel and its gradient in every parameter; a parameter that no gradient reaches has gradient 0."""
    parameters = vars(ssm)
    gradients = torch.autograd.grad((kernel * weights(kernel)).sum(), list(parameters.values()), allow_unused=True)
    found = {"kernel": kernel.detach().transpose(0, 1).double()}
    for (name, value), gradient in zip(parameters.items(), gradients, strict=True):
        gradient = torch.zeros_like(value) if gradient is None else gradient
        found[name] = gradient.transpose(0, 1) if name == "C" else gradient
    return found


def head_errors(found: Results, true: Results, ssm: StateSpace) -> dict[str, float]:
    """The error of each result relative to its size, both 2-norms, of the worst head.

    The kernel is a function of dt A and dt B (and sqrt(dt) P), so dt dK/ddt is an inner product of the other
    gradients with their parameters; it can cancel to nothing, and its size is that of its terms, not of the sum.
    """
    values = vars(ssm)
    sizes = {name: norms(value) for name, value in true.items()}
    terms = sum(norms(true[name]) * norms(values[name]) for name in ("A", "B", "P") if name in values)
    sizes["dt"] = terms / norms(values["dt"])
    return {name: float((norms(found[name] - true[name]) / sizes[name]).max()) for name in found}


def norms(value: torch.Tensor) -> torch.Tensor:
    return torch.linalg.norm(value.detach().reshape(len(value), -1), dim=1)


def truth(request: Request, basis: str | None = None) -> Results:
    return _truth(dataclasses.replace(request, dtype="float64"), basis)


@functools.cache
def _truth(request: Request, basis: str | None) -> Results:
    ssm = sample(request, basis)
    return results(ssm, recurrence(ssm, request.discretization, request.length))


def reference_errors(request: Request, basis: str | None = None) -> dict[str, float]:
    scale = 1.0 if request.dtype == "float32" else 2.0**-29
    single = dataclasses.replace(request, dtype="float32")
    rules = (dataclasses.replace(single, discretization=rule) for rule in get_args(Discretization))
    both = [_float32_errors(one, basis) for one in rules]
    return {name: scale * max(errors[name] for errors in both) for name in both[0]}


@functools.cache
def _float32_errors(request: Request, basis: str | None) -> dict[str, float]:
    ssm = sample(request, basis)
    return head_errors(results(ssm, Reference().kernel(ssm, request)), truth(request, basis), ssm)


@functools.cache
def formula_errors(backend: Backend, request: Request, basis: str | None = None) -> dict[str, float]:
    """What the backend's own formula magnifies, 0 where it is as well conditioned as the kernel."""
    ssm, scale = sample(request, basis), 1.0 if request.dtype == "float32" else 2.0**-29
    kernel = backend.conditioned(ssm, request)
    errors = {} if kernel is None else head_errors(results(ssm, kernel), truth(request, basis), ssm)
    # One draw of the roundings may spare one gradient; the worst of them says what the others may meet.
    worst = max((error for name, error in errors.items() if name != "kernel"), default=0.0)
    return {"kernel": scale * errors.get("kernel", 0.0), **dict.fromkeys(vars(ssm), scale * worst)}


def band(request: Request) -> float:
    unit = 2.0**-24 if request.dtype == "float32" else 2.0**-53
    return 3 * (math.log2(request.length) + 4) * unit + (3 * request.length + 10 * request.state) * 2.0**-53


def check(backend: Backend, request: Request, basis: str | None = None) -> None:
    """Raise AssertionError when the kernel or a gradient of `backend` is off by more than the tolerance."""
    ssm = sample(request, basis)
    kernel = backend.kernel(ssm, request)
    assert kernel.shape == (request.channels, request.heads, request.length)
    assert kernel.dtype == getattr(torch, request.dtype)
    errors = head_errors(results(ssm, kernel), truth(request, basis), ssm)
    own, magnified = reference_errors(request, basis), formula_errors(backend, request, basis)
    for name, error in errors.items():
        # Draws of the roundings spread tenfold: for LegT, twelve gave 3.7e-14 to 3.8e-13 in units of float64.
        allowed = 2 * own[name] + 10 * magnified[name] + band(request)
        assert error <= allowed, f"{name} is off by {error:.2e}; {allowed:.2e} is allowed"
