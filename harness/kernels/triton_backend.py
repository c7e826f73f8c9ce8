"""The `triton` backend: fused kernels for CUDA, of layers in `fused_chunk.py`, of kernels in `fused_vandermonde.py`."""

from __future__ import annotations

import functools
import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.errors import Unsupported
from harness.kernels.backend import DPLR, ChunkedBackend, Diagonal, Request, StateSpace

if TYPE_CHECKING:
    import torch

DENSE_STATE = 64
"""The largest dense A whose tables stay on the chip."""


@dataclass(frozen=True)
class Triton(ChunkedBackend):
    """Fused kernels for CUDA: the chunked layer in one pass over the sequence, and diagonal kernels for the FFT.

    The kernels of dplr and dense systems are those of `krylov`, whose products are batched matrix products on any
    device. Everything is float32. Not yet run on a GPU: compiled for sm_90, and run through Triton's interpreter.

    Source: chunks as in state space duality (Dao, Gu 2024); the sum is that of S4D (Gu et al. 2022).
    """

    version: ClassVar[int] = 1

    precision: Literal["tf32x3", "ieee", "tf32"] = "tf32x3"
    """Of matrix products: tf32x3 on tensor cores (error near float32's), ieee without them, tf32 (error near 1e-3)."""

    def unsupported(self, request: Request) -> tuple[str, ...]:
        reasons = []
        if importlib.util.find_spec("triton") is None:
            reasons.append("The backend 'triton' needs the package triton, which is not installed: pip install triton.")
        if not request.device.startswith("cuda") and os.environ.get("TRITON_INTERPRET") != "1":
            reasons.append(
                f"The backend 'triton' runs on CUDA devices, but the device is '{request.device}'. Use the backend "
                f"'auto' there, or set TRITON_INTERPRET=1 to run its kernels, slowly, through Triton's interpreter."
            )
        if request.dtype != "float32":
            reasons.append(
                f"The backend 'triton' computes in float32, but got '{request.dtype}'. "
                f"Use the backend 'two_level' (diagonal) or 'krylov' (dplr, dense) for it."
            )
        if self.application(request) == "chunked" and not self._fits(request):
            reasons.append(
                f"The backend 'triton' carries a {request.structure} state of at most {DENSE_STATE} numbers from chunk "
                f"to chunk, but got {request.state}. Use the application 'fft', or the backend 'krylov'."
            )
        return tuple(reasons)

    def application(self, request: Request) -> Literal["fft", "chunked"]:
        """What is asked for; "auto" is by chunks where their tables fit the chip: the least memory traffic."""
        if request.application == "auto":
            return "chunked" if self._fits(request) else "fft"
        return request.application

    def kernel(self, ssm: StateSpace, request: Request) -> torch.Tensor:
        """K (channels, H, L)."""
        self.require(request)
        if not isinstance(ssm, Diagonal):
            from harness.kernels.krylov import Krylov

            return Krylov().kernel(ssm, request)
        from harness.kernels.discretize import discretize_diagonal
        from harness.kernels.fused_vandermonde import vandermonde

        step = discretize_diagonal(ssm, request.discretization)
        return vandermonde(ssm.C * step.B, step.log_A, request.length, self.precision)

    def layer(self, u: torch.Tensor, ssm: StateSpace, request: Request) -> torch.Tensor:
        """y (M, H, L) of u (M, H, L), by FFT or by chunks. Raises Unsupported on a GPU too small for the tables."""
        self.require(request)
        if self.application(request) == "fft":
            return super().layer(u, ssm, request)
        from triton.runtime.errors import OutOfResources

        from harness.kernels.chunked import chunked
        from harness.kernels.eigen import diagonal_form
        from harness.kernels.fused_chunk import chunk_steps, run

        if isinstance(ssm, DPLR) and request.state > DENSE_STATE:
            ssm = diagonal_form(ssm)
        runner = functools.partial(run, precision=self.precision)
        Q = chunk_steps(not isinstance(ssm, Diagonal), self.precision)
        try:
            return chunked(u, ssm, request, runner, Q)
        except OutOfResources as problem:
            raise Unsupported(
                (f"The chunked layer of the backend 'triton' does not fit this GPU: {problem}. Use 'auto'.",)
            ) from problem

    def _fits(self, request: Request) -> bool:
        diagonal = request.structure == "diagonal" or (request.structure == "dplr" and request.diagonalisable)
        return diagonal or request.state <= DENSE_STATE
