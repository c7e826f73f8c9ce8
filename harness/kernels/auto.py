"""`auto`: the backend and the application this project recommends for a layer, a choice like another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.kernels.backend import Backend, Request, StateSpace
from harness.registry import lookup

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Auto(Backend):
    """The fastest verified backend: two_level where A is diagonal or can be made so exactly, else krylov."""

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return self.chosen(request).unsupported(request)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L)."""
        return self.chosen(request).kernel(ssm, request)

    def application(self, request: Request) -> Literal["fft", "chunked"]:
        """That of the chosen backend."""
        return self.chosen(request).application(request)

    def layer(self, u: torch.Tensor, ssm: StateSpace, request: Request) -> torch.Tensor:
        """y (M, H, L) of u (M, H, L)."""
        return self.chosen(request).layer(u, ssm, request)

    def resolve(self, request: Request) -> str:
        """The name of the backend that really runs `request`."""
        return "two_level" if request.structure == "diagonal" or request.diagonalisable else "krylov"

    def chosen(self, request: Request) -> Backend:
        """The backend that really runs `request`, with its default options."""
        from harness.kernels import KERNELS

        backend: Backend = lookup("backend", KERNELS, self.resolve(request))()
        return backend
