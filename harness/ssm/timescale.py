"""How dt is initialised: log-uniform in [min, max] (Gu et al. 2022, "How to Train Your HiPPO")."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.bases.basis import check_option
from harness.errors import UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LogUniform:
    """dt = min (max/min)^u with u uniform in [0, 1]; min = max fixes it. Windowed bases cover 2/dt steps."""

    version: ClassVar[int] = 1

    min: float = 1e-3
    max: float = 1e-1
    per: Literal["head", "state"] = "head"
    """One dt for each head, or one for each head and conjugate pair (diagonal structure only)."""
    transform: Literal["exp", "softplus"] = "exp"
    """The trained parameter p gives dt = exp(p) or softplus(p)."""
    floor: float | None = None
    """Smaller draws of dt become this; the official code has 1e-4 for softplus, which heaps dt up there."""

    def __post_init__(self) -> None:
        check_option("dt.per", self.per, ("head", "state"))
        check_option("dt.transform", self.transform, ("exp", "softplus"))
        if not (math.isfinite(self.max) and self.min > 0):
            raise UsageError(f"dt.min is {self.min} and dt.max is {self.max}; both must be above 0 and finite.")
        if self.floor is not None and not 0 < self.floor < math.inf:
            raise UsageError(f"dt.floor is {self.floor}; it must be above 0 and finite (leave it out for no floor).")
        if self.min > self.max:
            raise UsageError(f"dt.min is {self.min}, above dt.max, which is {self.max}; swap them.")

    @property
    def labels(self) -> tuple[str, ...]:
        """What a reader must be told beside every result: nothing where no draw can fall below the floor."""
        return (f"dt floored at {self.floor:g}",) if self.floor is not None and self.min < self.floor else ()

    def initial(self, u: torch.Tensor) -> torch.Tensor:
        """The parameter p (float64, as u) whose dt is min (max/min)^u, or the floor where that is larger."""
        import torch

        dt = self.min * (self.max / self.min) ** u.double()
        dt = dt if self.floor is None else dt.clamp(min=self.floor)
        return torch.log(dt) if self.transform == "exp" else dt + torch.log(-torch.expm1(-dt))

    def dt(self, parameter: torch.Tensor) -> torch.Tensor:
        """dt (float64) of the parameter, differentiable."""
        import torch

        p = parameter.double()
        return torch.exp(p) if self.transform == "exp" else torch.nn.functional.softplus(p)
