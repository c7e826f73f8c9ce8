"""Synthetic tasks by basis and dt: the score, and the windows that were realised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from harness.report import references, style, words
from harness.report.evidence import Arm, Evidence, Study, Trial
from harness.report.section import Figure, Part, Section, SectionBuilder, Table, plain, significant, text
from harness.report.statistics import Estimate

WINDOWS = ("window_q05", "window_q50", "window_q95", "window_over_length")
Cells = dict[tuple[Arm, str], Estimate]


@dataclass(frozen=True)
class Synthetic(SectionBuilder):
    """Scores on the synthetic tasks by basis and dt, with the realised windows."""

    def applies(self, evidence: Evidence) -> bool:
        return bool(_own(evidence))

    def build(self, evidence: Evidence) -> Section:
        lead = (
            "At step dt a basis whose measure has mean lag 1 covers about 2/dt steps; the table of windows shows what "
            "that came to, beside the length of the sequences and the lag that the task asks for."
        )
        return Section("Delay and other synthetic tasks", (lead,), tuple(_part(*one) for one in _own(evidence)))


def _own(evidence: Evidence) -> list[tuple[Study, str, Mapping[str, Any]]]:
    return [
        (study, title, task)
        for study in evidence.studies
        if not study.equivalence
        for title, task in study.tasks.items()
        if task["suite"] == "synthetic"
    ]


def _part(study: Study, title: str, task: Mapping[str, Any]) -> Part:
    trials = study.on(title)
    across = "dt" if "dt" in study.axes else ""
    down = [axis for axis in study.axes if axis not in ("dt", *study.task_axis)]
    levels = study.levels["dt"] if across else [str(task["primary"])]
    cells: Cells = {}
    members: dict[tuple[Arm, str], list[Trial]] = {}
    for trial in trials:
        arm = tuple(trial.labels[axis] for axis in down)
        members.setdefault((arm, trial.labels["dt"] if across else levels[0]), []).append(trial)
    cells = {place: words.cell(group, words.scale(task)) for place, group in members.items()}
    arms = list(dict.fromkeys(arm for arm, _ in members))
    known = references.by_task(trials, words.scale(task))
    stem = f"{study.name}-{title.lower()}"
    return Part(
        f"{title}: {study.name}",
        tables=(
            _scores(stem, study, title, task, down, levels, arms, cells, known),
            *_windows(stem, study, down, members),
        ),
        figures=_figures(stem, title, task, levels, arms, cells, references.common(known), bool(across)),
    )


def _scores(
    stem: str,
    study: Study,
    title: str,
    task: Mapping[str, Any],
    down: list[str],
    levels: list[str] | Any,
    arms: list[Arm],
    cells: Cells,
    known: Mapping[str, references.Scores],
) -> Table:
    prefix = "dt " if "dt" in study.axes else ""
    rows = []
    for arm in arms:
        row: dict[str, Any] = dict(zip(down, arm, strict=True))
        rows.append(row | {f"{prefix}{level}": cells.get((arm, level)) for level in levels})
    data = pd.DataFrame(rows)
    caption = (
        f"{title}: {words.metric(task)} on the test split, {words.better(task)}. {words.seeds_sentence(cells.values())}"
    )
    notes = [f"Reference, no model: {name} {plain(value)}." for name, value in references.common(known).items()]
    notes += references.notes(known, plain)
    notes += [f"{label}." for label in study.labels] + words.fewer(study, study.arms())
    formats = {name: (text if name in down else words.score_format(task)) for name in data.columns}
    return Table(f"{stem}-scores", caption, data, formats, tuple(notes))


def _windows(stem: str, study: Study, down: list[str], members: dict[tuple[Arm, str], list[Trial]]) -> list[Table]:
    rows = []
    for (arm, level), trials in members.items():
        row: dict[str, Any] = dict(zip(down, arm, strict=True))
        row |= {"dt": level} if "dt" in study.axes else {}
        spec = trials[0].spec["task"]
        row |= {key: spec[key] for key in ("length", "lag") if isinstance(spec.get(key), int | float)}
        for split, when in (("init", "at start"), ("final", "trained")):
            for name in WINDOWS:
                known = [value for trial in trials if (value := trial.last(split, name)) == value]
                if known:
                    row[f"{_short(name)} {when}"] = float(np.mean(known))
        rows.append(row)
    data = pd.DataFrame(rows)
    shown = [name for name in data.columns if name.endswith(("at start", "trained"))]
    if not shown:
        return []
    caption = (
        "Realised windows 2/dt in steps over the heads: the 5th, 50th and 95th percentile, and the share of heads "
        "whose window is longer than the sequence; means over seeds."
    )
    formats = {name: (significant(3) if name in shown else text) for name in data.columns}
    return [Table(f"{stem}-windows", caption, data, formats)]


def _short(name: str) -> str:
    return {"window_over_length": "share beyond length"}.get(name, name.replace("window_q", "window q"))


def _figures(
    stem: str,
    title: str,
    task: Mapping[str, Any],
    levels: list[str] | Any,
    arms: list[Arm],
    cells: Cells,
    lines_across: references.Scores,
    by_dt: bool,
) -> tuple[Figure, ...]:
    if not any(one.n for one in cells.values()):
        return ()

    def lines(canvas: Canvas) -> None:
        axes = canvas.add_subplot()
        for index, arm in enumerate(arms):
            shift = 0.5 * ((index + 0.5) / len(arms) - 0.5)
            named = False
            for position, level in enumerate(levels):
                if (one := cells.get((arm, level))) is not None and one.n:
                    style.error_bars(axes, position + shift, one, index, None if named else words.arm_name(arm))
                    named = True
        for index, (name, value) in enumerate(lines_across.items()):
            axes.axhline(value, color=style.MUTED, ls=style.dash(index + 1), lw=1, label=f"reference: {name}")
        axes.set_xticks(range(len(levels)), levels)
        axes.set_xlim(-0.5, len(levels) - 0.5)
        axes.set_xlabel("dt" if by_dt else "")
        axes.set_ylabel(words.metric(task))
        axes.grid(axis="y")
        style.legend_below(canvas, axes)

    def heat(canvas: Canvas) -> None:
        import seaborn as sns

        values = pd.DataFrame(
            [[cells[arm, level].value if (arm, level) in cells else np.nan for level in levels] for arm in arms],
            index=[words.arm_name(arm) for arm in arms],
            columns=list(levels),
        )
        axes = canvas.add_subplot()
        colours = "cividis" if task["higher_is_better"] else "cividis_r"
        sns.heatmap(values, ax=axes, annot=True, fmt=".3g", cmap=colours, cbar_kws={"label": words.metric(task)})
        axes.set_xlabel("dt")
        axes.tick_params(axis="y", rotation=0)

    alt = _alt(title, task, levels, arms, cells, by_dt)
    dashed = "; dashed lines: references that need no model" if lines_across else ""
    drawn = [
        Figure(
            f"{stem}-scores",
            f"{title}: {words.metric(task)} ({words.better(task)}), mean and 95 % t interval over seeds{dashed}.",
            alt,
            lines,
            (6.4, 3.8),
        )
    ]
    if len(levels) > 1 and len(arms) > 1:
        caption = f"The same means as a map; the brighter, the better ({words.better(task)})."
        drawn.append(Figure(f"{stem}-map", caption, alt, heat, (6.4, 1.1 + 0.45 * len(arms))))
    return tuple(drawn)


def _alt(title: str, task: Mapping[str, Any], levels: Any, arms: list[Arm], cells: Cells, by_dt: bool) -> str:
    known = {place: one for place, one in cells.items() if one.n}
    pick = max if task["higher_is_better"] else min
    arm, level = pick(known, key=lambda place: known[place].value)
    size, place = words.count(len(arms), "arm"), words.arm_name(arm)
    if by_dt:
        size, place = f"{size} at {words.count(len(levels), 'setting')} of dt", f"{place} at dt {level}"
    return f"{title}: {task['primary']} of {size}. The best mean is {plain(known[arm, level].value)}, by {place}."
