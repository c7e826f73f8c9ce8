"""Every registered basis in every structure it supports, and small models of them."""

from __future__ import annotations

from typing import Any

from harness.bases import BASES
from harness.bases.basis import Basis
from harness.kernels.reference import Reference
from harness.registry import lookup
from harness.ssm.config import S4
from harness.ssm.model import Model
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Inputs


def basis_named(name: str) -> Basis:
    made: Basis = lookup("basis", BASES, name)()
    return made


CASES = [(name, structure) for name in BASES for structure in basis_named(name).structures]
"""(basis, structure) pairs."""

FIRST = [(name, basis_named(name).structures[0]) for name in BASES]
"""One structure for each basis."""


def small_model(
    name: str = "legs",
    structure: str = "dplr",
    *,
    timescale: LogUniform | None = None,
    inputs: Inputs | None = None,
    per_step: bool = False,
    seed: int = 0,
    **config: Any,
) -> Model:
    """Two layers of four heads of state size 8, real inputs of one channel, three outputs, the reference backend."""
    shape = {"d_model": 4, "d_state": 8, "n_layers": 2, **config}
    return Model(
        S4(structure=structure, **shape),  # type: ignore[arg-type]
        basis_named(name),
        timescale or LogUniform(),
        Reference(),
        inputs or Inputs("real", 1),
        3,
        per_step,
        seed,
    )
