"""What a kernel backend is: it turns a state space model into the convolution kernel of length L.

Legend: H heads, N state size, n = N/2 conjugate pairs, R rank, L length, K channels (2 when bidirectional).
Parameters arrive in float64 / complex128 whatever the compute dtype, because dt*A must be formed there
(rounding dt*A to float32 costs 1e-3 on undamped modes at L = 16384); the kernel leaves in `request.dtype`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.errors import Unsupported

if TYPE_CHECKING:
    import torch

Structure = Literal["dplr", "diagonal", "dense"]
Discretization = Literal["zoh", "bilinear"]
Application = Literal["auto", "fft", "chunked"]


@dataclass(frozen=True)
class Request:
    """What a trial asks of a backend, in plain values, so that `unsupported` needs no torch."""

    structure: Structure
    discretization: Discretization
    heads: int
    state: int
    length: int
    rank: int = 0
    channels: int = 1
    dtype: Literal["float32", "float64"] = "float32"
    device: str = "cpu"
    gradients: bool = True
    application: Application = "fft"
    """How the kernel meets the sequence: one FFT, chunk by chunk with the state passed on, or the faster of the two."""
    batch: int = 1
    diagonalisable: bool = False
    """A (for dplr, its low rank included) is frozen and has well-conditioned eigenvectors."""


@dataclass(frozen=True)
class Diagonal:
    """x' = diag(A) x + B u, y = 2 Re(C x): A, B (H, n), C (K, H, n) complex128; dt (H,) or (H, n) float64."""

    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor
    dt: torch.Tensor


@dataclass(frozen=True)
class DPLR:
    """x' = (diag(A) - sum_r P_r P_r^*) x + B u over conjugate pairs, y = 2 Re(C x).

    A, B (H, n), P (H, R, n), C (K, H, n) complex128; dt (H,) float64.
    """

    A: torch.Tensor
    B: torch.Tensor
    P: torch.Tensor
    C: torch.Tensor
    dt: torch.Tensor


@dataclass(frozen=True)
class Dense:
    """x' = A x + B u, y = C x, all real: A (H, N, N), B (H, N), C (K, H, N), dt (H,) float64."""

    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor
    dt: torch.Tensor


StateSpace = Diagonal | DPLR | Dense


class Backend(ABC):
    """One way to compute kernels. Subclasses are frozen dataclasses; their fields are options."""

    version: ClassVar[int] = 1

    @abstractmethod
    def unsupported(self, request: Request) -> tuple[str, ...]:
        """Why this backend cannot run `request`, in sentences; empty when it can. Imports nothing heavy."""

    @abstractmethod
    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L) with K_l = C Abar^l Bbar, in `request.dtype`, differentiable in every parameter.

        Raises Unsupported when `unsupported(request)` has reasons.
        """

    def conditioned(self, ssm: StateSpace, request: Request) -> torch.Tensor | None:
        """The kernel in float64 but for those roundings, to float32, that this backend's formula itself magnifies.

        Its error and its gradients' are what a float32 evaluation of the formula cannot do better than. None where the
        formula is as well conditioned as the kernel.
        """
        return None

    def application(self, request: Request) -> Literal["fft", "chunked"]:
        """How this backend applies the kernel of `request`: what is asked for, and for "auto" what is faster."""
        return "chunked" if request.application == "chunked" else "fft"

    def layer(self, u: torch.Tensor, ssm: StateSpace, request: Request) -> torch.Tensor:
        """y (M, H, L) of u (M, H, L): this backend's kernel, applied as `request.application` says.

        Raises Unsupported when `unsupported(request)` has reasons.
        """
        from harness.kernels.apply import fft_conv
        from harness.kernels.parts import part

        with part("kernel"):
            kernel = self.kernel(ssm, request)
        return fft_conv(u, kernel, request.channels == 2)

    def require(self, request: Request) -> None:
        """Raise Unsupported with the reasons, if there are any; every `kernel` begins with it."""
        reasons = self.unsupported(request)
        if reasons:
            raise Unsupported(reasons)

    def whole_kernels_only(self, request: Request) -> tuple[str, ...]:
        """The reason of a backend that makes kernels of length L, where the application asks for none."""
        if request.application != "chunked":
            return ()
        return (
            f"The backend '{self.resolve(request)}' makes whole kernels, which the application 'chunked' does without. "
            f"Use the application 'fft', or the backend 'two_level' (diagonal), 'krylov' (dplr, dense) or 'auto'.",
        )

    def resolve(self, request: Request) -> str:
        """The registered name of the backend that really runs `request`; only `auto` answers otherwise."""
        from harness.kernels import KERNELS

        for name, entry in KERNELS.items():
            if entry is type(self) or entry == f"{type(self).__module__}:{type(self).__qualname__}":
                return name
        return type(self).__qualname__


class ChunkedBackend(Backend):
    """A backend that makes kernels, and can do without: the state is carried from chunk to chunk."""

    def application(self, request: Request) -> Literal["fft", "chunked"]:
        """What is asked for; for "auto" what the measured crossover says."""
        from harness.kernels.crossover import faster

        return faster(request) if request.application == "auto" else request.application

    def layer(self, u: torch.Tensor, ssm: StateSpace, request: Request) -> torch.Tensor:
        """y (M, H, L) of u (M, H, L), by FFT or by chunks."""
        if self.application(request) == "fft":
            return super().layer(u, ssm, request)
        from harness.kernels.chunked import chunked

        self.require(request)
        return chunked(u, self.form(ssm), request)

    def form(self, ssm: StateSpace) -> StateSpace:
        """The system whose state is carried: `ssm` itself, or one with the same kernel."""
        return ssm
