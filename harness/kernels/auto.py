"""`auto`: the backend this project recommends for a structure, a choice like another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.kernels.backend import Backend, Request, StateSpace
from harness.registry import lookup

if TYPE_CHECKING:
    import torch

PREFERRED = {"diagonal": "two_level", "dplr": "krylov", "dense": "krylov"}


@dataclass(frozen=True)
class Auto(Backend):
    """The fastest verified backend of the structure: two_level for diagonal, krylov for dplr and dense."""

    version: ClassVar[int] = 1

    def unsupported(self, request: Request) -> tuple[str, ...]:
        return self.chosen(request).unsupported(request)

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L)."""
        return self.chosen(request).kernel(ssm, request)

    def resolve(self, request: Request) -> str:
        """The name of the backend that really runs `request`."""
        return PREFERRED[request.structure]

    def chosen(self, request: Request) -> Backend:
        """The backend that really runs `request`, with its default options."""
        from harness.kernels import KERNELS

        backend: Backend = lookup("backend", KERNELS, self.resolve(request))()
        return backend
