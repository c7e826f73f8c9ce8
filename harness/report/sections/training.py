"""Learning curves on validation, and what a trial cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from harness.report import style, words
from harness.report.evidence import Arm, Evidence, Study, Trial
from harness.report.section import Figure, Part, Section, SectionBuilder, Table, significant, text

COSTS = {"parameters": "parameters", "first_step_s": "first step s", "train_s": "training s"}
COSTS |= {"eval_s": "evaluation s", "sequences_per_s": "sequences/s"}
COSTS |= {"escape_epoch": "above chance from epoch", "escape_s": "above chance after s"}


@dataclass(frozen=True)
class Training(SectionBuilder):
    """Learning curves with bands over seeds, and cost by arm."""

    def applies(self, evidence: Evidence) -> bool:
        return any(study.tasks and not study.equivalence for study in evidence.studies)

    def build(self, evidence: Evidence) -> Section:
        parts = [
            _part(study, title, task)
            for study in evidence.studies
            if not study.equivalence
            for title, task in study.tasks.items()
        ]
        return Section("Training", parts=tuple(part for part in parts if part.tables or part.figures))


def curve(trials: list[Trial], metric: str, factor: float) -> pd.DataFrame:
    """Mean, least and greatest value on validation at each step that every given trial has evaluated."""
    columns = [pd.Series(dict(trial.series("val", metric)), dtype=float) for trial in trials]
    columns = [one for one in columns if len(one)]
    if not columns:
        return pd.DataFrame(columns=["mean", "low", "high"])
    whole = factor * pd.concat(columns, axis=1).dropna().sort_index()
    return pd.DataFrame({"mean": whole.mean(axis=1), "low": whole.min(axis=1), "high": whole.max(axis=1)})


def _part(study: Study, title: str, task: Mapping[str, Any]) -> Part:
    arms = {
        arm: [trial for trial in trials if study.title(trial) == title]
        for arm, trials in study.arms(study.task_axis).items()
    }
    arms = {arm: trials for arm, trials in arms.items() if trials}
    stem = f"training-{study.name}-{title.lower()}"
    return Part(f"{title}: {study.name}", tables=_costs(stem, study, arms), figures=_curves(stem, title, task, arms))


def _costs(stem: str, study: Study, arms: Mapping[Arm, list[Trial]]) -> tuple[Table, ...]:
    axes = [axis for axis in study.axes if axis not in study.task_axis]
    rows = []
    for arm, trials in arms.items():
        row: dict[str, Any] = dict(zip(axes, arm, strict=True))
        ran = (str(name) for trial in trials if (name := trial.header.get("backend")))
        row["backend that ran"] = words.listed(dict.fromkeys(ran))
        for name, heading in COSTS.items():
            known = [value for trial in trials if (value := trial.last("run", name)) == value]
            row[heading] = float(np.median(known)) if known else None
        rows.append(row)
    data = pd.DataFrame(rows).dropna(axis="columns", how="all")
    if not set(COSTS.values()) & set(data.columns):
        return ()
    formats = {name: (significant(3) if name in COSTS.values() else text) for name in data.columns}
    caption = "What a trial cost: medians over seeds. Trials may have shared the machine, so seconds are no benchmark."
    return (Table(f"{stem}-cost", caption, data, formats),)


def _curves(stem: str, title: str, task: Mapping[str, Any], arms: Mapping[Arm, list[Trial]]) -> tuple[Figure, ...]:
    factor = words.scale(task)
    curves = {arm: curve(trials, str(task["primary"]), factor) for arm, trials in arms.items()}
    curves = {arm: one for arm, one in curves.items() if len(one)}
    if not curves:
        return ()
    titles = list(dict.fromkeys(arm[1:] for arm in curves))
    lines = list(dict.fromkeys(arm[:1] for arm in curves))

    def draw(canvas: Canvas) -> None:
        grid = style.panels(canvas, len(titles))
        for axes, rest in zip(grid, titles, strict=True):
            for index, first in enumerate(lines):
                if (one := curves.get(first + rest)) is None:
                    continue
                x = one.index.to_numpy(dtype=float)
                axes.fill_between(x, one["low"], one["high"], color=style.colour(index), alpha=0.15, lw=0)
                axes.plot(
                    x,
                    one["mean"],
                    color=style.colour(index),
                    marker=style.marker(index),
                    ls=style.dash(index),
                    ms=3,
                    label=words.arm_name(first),
                )
            axes.set_title(" · ".join(rest))
            axes.set_xlabel("step")
            axes.grid(axis="y")
            if axes is grid[0] or axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
                axes.set_ylabel(words.metric(task))
        for axes in grid[1:]:
            axes.sharey(grid[0])
        grid[0].autoscale(axis="y")
        handles = {
            label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        canvas.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(4, len(handles)))

    caption = (
        f"{title}: {words.metric(task)} on validation by step ({words.better(task)}). Line: mean over seeds; band: "
        f"from the lowest to the highest seed."
    )
    alt = f"Learning curves of {words.count(len(curves), 'arm')} on {title}, in {words.count(len(titles), 'panel')}."
    return (Figure(f"{stem}-curves", caption, alt, draw, style.panel_size(len(titles))),)
