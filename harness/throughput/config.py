"""The parameters of a kernel timing. Torch-free; `harness.throughput.timer` runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.bases.basis import Basis
from harness.errors import UsageError
from harness.kernels import KERNELS
from harness.registry import lookup
from harness.ssm.config import S4
from harness.ssm.timescale import LogUniform


@dataclass(frozen=True)
class KernelTimer:
    """Kernel generation by several backends, interleaved round-robin in one process, after a correctness gate."""

    version: ClassVar[int] = 1

    backends: tuple[str, ...] = ("reference", "two_level")
    baseline: str = "reference"
    """Ratios are against this one; it is timed twice, and the two must agree."""
    length: int = 1024
    heads: int = 64
    state: int = 64
    structure: Literal["dplr", "diagonal", "dense"] = "diagonal"
    discretization: Literal["zoh", "bilinear"] = "zoh"
    dtype: Literal["float32", "float64"] = "float32"
    direction: Literal["forward", "both"] = "both"
    """Time the forward pass, or forward and backward together."""
    repeats: int = 20
    threads: int = 1
    gate_heads: int = 4
    """Heads that the correctness gate compares, spread over the range of dt from its least to its greatest."""

    def __post_init__(self) -> None:
        for name in ("length", "heads", "state", "repeats", "threads", "gate_heads"):
            if getattr(self, name) < 1:
                raise UsageError(f"timer.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.state % 2:
            raise UsageError(f"timer.state is {self.state}; it must be even, because states come in conjugate pairs.")
        for name in self.backends:
            lookup("backend", KERNELS, name)
        if self.baseline not in self.backends:
            raise UsageError(
                f"timer.baseline is '{self.baseline}', which is not among timer.backends: {', '.join(self.backends)}."
            )

    @property
    def model(self) -> S4:
        """The one-layer model whose kernels are timed."""
        return S4(
            d_model=self.heads,
            d_state=self.state,
            n_layers=1,
            structure=self.structure,
            discretization=self.discretization,
        )

    def check(self, basis: Basis, name: str, timescale: LogUniform) -> None:
        """Raise UsageError when `basis`, registered as `name`, has no such structure, or the timescale does not fit."""
        self.model.check(basis, name, timescale)
