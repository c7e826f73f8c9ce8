"""LegS+FouT: half of the heads remember the whole past, half a window of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.bases.basis import Basis, MixtureBasis
from harness.bases.fout import FouT
from harness.bases.legs import LegS


@dataclass(frozen=True)
class LegSFouT(MixtureBasis):
    """LegS in the first half of the heads, FouT in the second: the "S4-LegS/FouT" of the paper.

    Gu et al. 2022, "How to Train Your HiPPO".
    """

    version: ClassVar[int] = 1
    structures: ClassVar[tuple[str, ...]] = ("dplr", "dense")
    required_rank: ClassVar[int] = 1

    @property
    def parts(self) -> tuple[Basis, ...]:
        """(LegS, FouT), first block of heads first."""
        return LegS(), FouT()
