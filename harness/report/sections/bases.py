"""A gallery of the bases that were compared, drawn from their definitions."""

from __future__ import annotations

import dataclasses
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
            f"The first {SHOWN} kernels of each basis over the lag t, in units of which a step is dt: e^(tA)B at state "
            f"size {STATE}, and for the diagonal structure its modes 2 Re(B e^(ta)).",
            f"Kernels of the bases {words.listed(bases)} over lags 0 to 3.",
            lambda canvas: _draw(canvas, bases),
            style.panel_size(len(bases), height=2.2),
        )
        lead = "A state space model remembers its input through these functions; C mixes them into a kernel."
        return Section("The bases", (lead,), (Part(figures=(figure,)),))


def chosen(evidence: Evidence) -> dict[str, tuple[Basis, bool]]:
    """Label to basis and whether its diagonal form was used, in the order of first use; what is not installed is not.

    Two arms of one basis with other parameters are two entries.
    """
    found: dict[str, tuple[Basis, bool]] = {}
    for trial in evidence.trials:
        choice: Mapping[str, Any] = trial.spec["basis"]
        try:
            basis = build("basis", BASES, choice)
        except UsageError:
            continue
        structure = (trial.spec.get("model") or trial.spec.get("timer") or {}).get("structure")
        both = isinstance(basis, DiagonalBasis) and isinstance(basis, MatrixBasis)
        diagonal = both and structure == "diagonal"
        found.setdefault(_label(str(choice["name"]), basis, diagonal), (basis, diagonal))
    return found


def _label(name: str, basis: Any, diagonal: bool) -> str:
    """`fout`, `fout(closure=naive)`, `random(diagonal)`: the name, and what differs from its defaults."""
    changed = {
        field.name: getattr(basis, field.name)
        for field in dataclasses.fields(basis)
        if field.init and getattr(basis, field.name) != field.default
    }
    told = [f"{key}={value}" for key, value in changed.items()] + ["diagonal"] * diagonal
    return f"{name}({', '.join(told)})" if told else name


def kernels(basis: Basis, times: Real, n: int = STATE, diagonal: bool = False) -> Real:
    """The kernels (rows, T): e^{tA}B, or the modes Re 2 B_n e^{t a_n} where the basis has no A or `diagonal` is asked.

    The definition K_n(t) is drawn only where it is e^{tA}B at every N: elsewhere it is the limit, not the model's.
    """
    if isinstance(basis, MixtureBasis):
        return np.concatenate([kernels(part, times, n, diagonal)[: SHOWN // 2] for part in basis.parts])
    if isinstance(basis, DiagonalBasis) and (diagonal or not isinstance(basis, MatrixBasis)):
        eigenvalues, inputs = basis.spectrum(n)
        return np.real(2 * inputs[:, None] * np.exp(eigenvalues[:, None] * times))
    if isinstance(basis, DefinedBasis) and basis.exact:
        return basis.functions(n, times)
    if isinstance(basis, MatrixBasis):
        A, B = basis.matrices(n)
        step = expm(A * (times[1] - times[0]))
        columns = [expm(A * times[0]) @ B]
        for _ in times[1:]:
            columns.append(step @ columns[-1])
        return np.stack(columns, axis=1)
    raise UsageError(f"The basis {type(basis).__name__} has no form that can be drawn. Give it matrices or a spectrum.")


def _draw(canvas: Canvas, bases: Mapping[str, tuple[Basis, bool]]) -> None:
    for axes, (name, (basis, diagonal)) in zip(style.panels(canvas, len(bases)), bases.items(), strict=True):
        _panel(axes, kernels(basis, TIMES, diagonal=diagonal)[:SHOWN])
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
