"""A gallery of the bases that were compared, drawn from their definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from scipy.linalg import expm

from harness.bases import BASES
from harness.bases.basis import Basis, DefinedBasis, DiagonalBasis, MatrixBasis, MixtureBasis, Real
from harness.errors import UsageError
from harness.registry import build
from harness.report import style, words
from harness.report.evidence import Evidence
from harness.report.section import Figure, Part, Section, SectionBuilder

STATE = 64
SHOWN = 5
TIMES = np.linspace(1e-3, 3.0, 300)


@dataclass(frozen=True)
class Gallery(SectionBuilder):
    """What each basis remembers with: its first kernels over the lag."""

    def applies(self, evidence: Evidence) -> bool:
        return bool(chosen(evidence))

    def build(self, evidence: Evidence) -> Section:
        bases = chosen(evidence)
        figure = Figure(
            "bases-gallery",
            f"The first {SHOWN} kernels of each basis over the lag t, in units in which the measure has mean lag 1 "
            f"(a step is dt). Where a definition exists it is drawn; elsewhere e^(tA)B at state size {STATE}.",
            f"Kernels of the bases {words.listed(bases)} over lags 0 to 3.",
            lambda canvas: _draw(canvas, bases),
            style.panel_size(len(bases), height=2.2),
        )
        lead = "A state space model remembers its input through these functions; C mixes them into a kernel."
        return Section("The bases", (lead,), (Part(figures=(figure,)),))


def chosen(evidence: Evidence) -> dict[str, Basis]:
    """The bases of the records by name, in the order of first use; those that are not installed here are left out."""
    found: dict[str, Basis] = {}
    for trial in evidence.trials:
        choice: Mapping[str, Any] = trial.spec["basis"]
        name = str(choice["name"])
        if name not in found:
            try:
                basis = build("basis", BASES, choice)
            except UsageError:
                continue
            found[name] = basis
    return found


def kernels(basis: Basis, times: Real, n: int = STATE) -> Real:
    """The kernels (rows, T): K_n(t) of the definition, Re 2 B_n e^{t a_n}, or e^{tA}B."""
    if isinstance(basis, MixtureBasis):
        return np.concatenate([kernels(part, times, n)[: SHOWN // 2] for part in basis.parts])
    if isinstance(basis, DefinedBasis):
        return basis.functions(n, times)
    if isinstance(basis, DiagonalBasis):
        eigenvalues, inputs = basis.spectrum(n)
        return np.real(2 * inputs[:, None] * np.exp(eigenvalues[:, None] * times))
    if isinstance(basis, MatrixBasis):
        A, B = basis.matrices(n)
        step = expm(A * (times[1] - times[0]))
        columns = [expm(A * times[0]) @ B]
        for _ in times[1:]:
            columns.append(step @ columns[-1])
        return np.stack(columns, axis=1)
    raise UsageError(f"The basis {type(basis).__name__} has no form that can be drawn. Give it matrices or a spectrum.")


def _draw(canvas: Canvas, bases: Mapping[str, Basis]) -> None:
    for axes, (name, basis) in zip(style.panels(canvas, len(bases)), bases.items(), strict=True):
        _panel(axes, kernels(basis, TIMES)[:SHOWN])
        axes.set_title(name)
        axes.set_xlabel("lag t")


def _panel(axes: Axes, drawn: Real) -> None:
    for index, kernel in enumerate(drawn):
        axes.plot(TIMES, kernel, color=style.colour(index), ls=style.dash(index), lw=1.2)
    axes.axhline(0, color=style.MUTED, lw=0.6)
    # A basis whose kernels start very high would flatten everything else.
    limit = float(np.quantile(np.abs(drawn), 0.995)) * 1.15
    if np.isfinite(limit) and limit > 0:
        axes.set_ylim(-limit, limit)
