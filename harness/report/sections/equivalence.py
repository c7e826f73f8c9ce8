"""Whether arms that should train alike did: loss curves of kernel backends from the same seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Canvas

from harness.report import style, words
from harness.report.evidence import Evidence, Study, Trial
from harness.report.section import Figure, Part, Section, SectionBuilder, Table, number, plain, significant, text

AXIS = "backend"


@dataclass(frozen=True)
class Comparison:
    """One arm and seed against the first backend of the file; the difference is nan where nothing can be compared."""

    arm: str
    backend: str
    against: str
    seed: int
    steps: tuple[int, ...]
    differences: tuple[float, ...]
    problem: str = ""

    @property
    def largest(self) -> float:
        return max(self.differences, default=math.nan)

    def verdict(self, tolerance: float) -> str:
        if self.problem:
            return self.problem
        return "agree" if self.largest <= tolerance else "do not agree"


@dataclass(frozen=True)
class Equivalence(SectionBuilder):
    """Largest relative difference of the loss curves between backends, against the tolerance."""

    def applies(self, evidence: Evidence) -> bool:
        return any(study.equivalence for study in evidence.studies)

    def build(self, evidence: Evidence) -> Section:
        lead = (
            "The relative difference of two losses a and b at a step is |a - b| / |b|, b being the first backend of "
            "the file. Each trial starts from the same seed and sees the same batches."
        )
        own = [study for study in evidence.studies if study.equivalence]
        return Section("Do the backends train alike?", (lead,), tuple(_part(study) for study in own))


def comparisons(study: Study) -> list[Comparison]:
    """Every backend but the first, against it, for each other arm and seed."""
    if AXIS not in study.axes:
        return []
    first = study.levels[AXIS][0]
    found = []
    for arm, trials in study.arms([AXIS]).items():
        for seed in sorted({trial.seed for trial in trials}):
            by_backend = {trial.labels[AXIS]: trial for trial in trials if trial.seed == seed}
            for backend in study.levels[AXIS][1:]:
                name = words.arm_name(arm)
                found.append(_compare(name, backend, first, seed, by_backend.get(backend), by_backend.get(first)))
    return found


def _compare(arm: str, backend: str, first: str, seed: int, trial: Trial | None, against: Trial | None) -> Comparison:
    problem = ""
    for one, name in ((against, first), (trial, backend)):
        if not problem and (one is None or one.status != "done"):
            problem = f"not compared: {name} " + ("has no record" if one is None else f"ended {one.status}")
    if problem or trial is None or against is None:
        return Comparison(arm, backend, first, seed, (), (), problem)
    ours, theirs = (dict(one.series("train", "loss")) for one in (trial, against))
    if not ours or ours.keys() != theirs.keys():
        return Comparison(arm, backend, first, seed, (), (), "not compared: the curves cover different steps")
    differences = tuple(_relative(ours[step], theirs[step]) for step in ours)
    return Comparison(arm, backend, first, seed, tuple(ours), differences)


def _relative(value: float, reference: float) -> float:
    if value == reference:
        return 0.0
    away = abs(value - reference) / abs(reference) if reference else math.inf
    return away if math.isfinite(away) else math.inf


def findings(study: Study) -> list[str]:
    """The verdict in sentences, the headline first."""
    tolerance = float(study.ablation["tolerance"])
    compared = comparisons(study)
    measured = [one for one in compared if one.differences]
    if not measured:
        return [f"Cannot tell: no two arms of the axis '{AXIS}' have loss curves that can be compared."]
    worst = max(measured, key=lambda one: one.largest)
    said = (
        f"The largest relative difference is {plain(worst.largest)} ({worst.backend} against {worst.against}, "
        f"{worst.arm}, seed {worst.seed}); the tolerance is {tolerance:g}."
    )
    left_out = len(compared) - len(measured)
    more = [f"{words.count(left_out, 'pair')} could not be compared; the table says why."] if left_out else []
    if worst.largest > tolerance:
        wrong = dict.fromkeys(one.backend for one in measured if one.largest > tolerance)
        return [f"The backends do not agree within the tolerance: {words.listed(wrong)}.", said, *more]
    return ["The backends that ran agree: their loss curves are the same within the tolerance.", said, *more]


def _part(study: Study) -> Part:
    tolerance = float(study.ablation["tolerance"])
    compared = comparisons(study)
    rows = [
        {
            "arm": one.arm,
            "backend": one.backend,
            "against": one.against,
            "seed": one.seed,
            "steps compared": len(one.steps),
            "largest relative difference": one.largest,
            "verdict": one.verdict(tolerance),
        }
        for one in compared
    ]
    stem = f"equivalence-{study.name}"
    data = pd.DataFrame(rows)
    formats = {"largest relative difference": significant(2), "steps compared": number(0)}
    formats |= {name: text for name in data.columns if name not in formats}
    caption = f"Training loss against the first backend; the tolerance is {tolerance:g}."
    figures: tuple[Figure, ...] = ()
    measured = [one for one in compared if one.differences]
    if measured:
        figures = (
            Figure(
                stem,
                "Relative difference of the training losses by step; differences of exactly 0 have no mark.",
                " ".join(findings(study)[:2]),
                lambda canvas: _draw(canvas, measured, tolerance),
                (6.4, 3.4),
            ),
        )
    tables = (Table(stem, caption, data, formats, tuple(f"{label}." for label in study.labels)),) if rows else ()
    return Part(study.name, headline=findings(study)[0], tables=tables, figures=figures)


def _draw(canvas: Canvas, measured: list[Comparison], tolerance: float) -> None:
    axes = canvas.add_subplot()
    backends = list(dict.fromkeys(one.backend for one in measured))
    for one in measured:
        index = backends.index(one.backend)
        label = f"{one.backend} against {one.against}"
        visible = [(step, away) for step, away in zip(one.steps, one.differences, strict=True) if 0 < away < math.inf]
        axes.plot(
            [step for step, _ in visible],
            [away for _, away in visible],
            color=style.colour(index),
            marker=style.marker(index),
            ls=style.dash(index),
            ms=3.5,
            lw=1,
            label=label if one is next(other for other in measured if other.backend == one.backend) else None,
        )
    axes.axhline(tolerance, color=style.MUTED, ls="--", lw=1, label="tolerance")
    axes.set_yscale("log")
    style.plain_log_ticks(axes.yaxis)
    axes.set_xlabel("step")
    axes.set_ylabel("relative difference of the loss")
    axes.grid(axis="y")
    style.legend_below(canvas, axes)
