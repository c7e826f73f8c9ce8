"""The `cauchy` backend: S4's kernel as published, its Cauchy sums written out. The route is in `generating.py`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.kernels.backend import DPLR, Backend, Request, StateSpace

if TYPE_CHECKING:
    import torch

    from harness.kernels.generating import Nodes


@dataclass(frozen=True)
class Cauchy(Backend):
    """DPLR kernels as S4 publishes them: Cauchy sums materialised, Woodbury, an inverse FFT; any rank.

    It fills (1 + R)^2 H n L/2 complex numbers. The kernel asked for is C Abar^l Bbar, not S4's C~ Abar^l Bbar, so
    C~ = C (1 - Abar^L) is formed at each call. In float32 the gradient of an undamped A (LegT, FouT) keeps few digits,
    and in some heads none; the other gradients and the kernel keep about four.

    Source: Gu, Goel, Re 2022, algorithm 1; the official code's `cauchy_naive`.
    """

    version: ClassVar[int] = 1

    nodes: Literal["float64", "official"] = "float64"
    """`official` takes complex powers of exp(-2 pi i / L) in the compute precision, as the official code does, and
    with them its error in float32, which grows as L: 4e-3 of the kernel (LegS) at L = 16384."""

    def unsupported(self, request: Request) -> tuple[str, ...]:
        reasons = [*self.whole_kernels_only(request)]
        if request.structure != "dplr":
            reasons.append(
                f"The backend 'cauchy' needs the structure 'dplr', but got '{request.structure}'. "
                f"Use the backend 'two_level' for a diagonal A, 'krylov' for a dense one."
            )
        elif request.discretization != "bilinear":
            reasons.append(bilinear_only("cauchy", request))
        return tuple(reasons)

    def conditioned(self, ssm: StateSpace, request: Request) -> torch.Tensor | None:
        """For DPLR, the route's: see `cauchy.conditioned`."""
        return conditioned(ssm, request)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L)."""
        self.require(request)
        assert isinstance(ssm, DPLR)
        from harness.kernels.generating import generating, homogeneous

        return generating(ssm, request, materialised, homogeneous if self.nodes == "float64" else powers_of_omega)


def conditioned(ssm: StateSpace, request: Request) -> torch.Tensor | None:
    """`Backend.conditioned` of the generating function's route: the sums' arguments, nodes and results are rounded.

    Their low rank cancels what a pole near the circle makes large. It is the recurrence and the change that those
    roundings make, so that a fault of the route is no excuse for itself.
    """
    if not isinstance(ssm, DPLR):
        return None
    import torch

    from harness.kernels.generating import Nodes, generating
    from harness.kernels.reference import recurrence

    def single(z: torch.Tensor) -> torch.Tensor:
        return z.to(torch.complex64).to(torch.complex128)

    def sums(v: torch.Tensor, d: torch.Tensor, nodes: Nodes) -> torch.Tensor:
        at = Nodes(nodes.c.float().double(), single(nodes.y), nodes.front)
        return single(materialised(single(v), single(d), at))

    exact = dataclasses.replace(request, dtype="float64")
    change = generating(ssm, exact, sums) - generating(ssm, exact, materialised)
    return recurrence(ssm, request.discretization, request.length) + change


def bilinear_only(name: str, request: Request) -> str:
    """Why the generating function's route, in the backend `name`, cannot serve another rule."""
    return (
        f"The backend '{name}' serves dplr by the bilinear rule, whose resolvent is a Cauchy sum, but got "
        f"'{request.discretization}'. Set the discretization to 'bilinear', or use the backend 'krylov'."
    )


def materialised(v: torch.Tensor, d: torch.Tensor, nodes: Nodes) -> torch.Tensor:
    """g (J, H, F), both halves of a pair in one quotient:

        v / (y - c d) + conj(v) / (y - c conj d) = (2 Re(v) y - 2 Re(v conj d) c) / ((y - c d) (y - c conj d)).

    The denominator stays a product: expanded, it would cancel where a pole is near the circle.
    """
    c, y = nodes.c, nodes.y
    d = d[..., None]
    numerator = (2 * v.real)[..., None] * y - (2 * (v[..., None] * d.conj()).real) * c
    return (numerator / ((y - c * d) * (y - c * d.conj()))).sum(-2)


def powers_of_omega(length: int, dtype: torch.dtype, device: torch.device) -> Nodes:
    """(1, z, 2 / (1 + w)) with z = 2 (1 - w) / (1 + w) and w = omega^k, all in `dtype`: the official code's nodes."""
    import cmath

    import torch

    from harness.kernels.generating import Nodes

    omega = torch.tensor(cmath.exp(-2j * cmath.pi / length), dtype=dtype, device=device)
    w = omega ** torch.arange(1, length // 2 + 1, device=device)
    return Nodes(torch.ones_like(w.real), 2 * (1 - w) / (1 + w), 2 / (1 + w))
