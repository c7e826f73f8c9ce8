"""Long Range Arena accuracies: ours, then the published rows, apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report import references, words
from harness.report.evidence import Arm, Evidence, Study, Trial
from harness.report.section import Part, Section, SectionBuilder, Table, number, text
from harness.report.sections import lra_averages
from harness.report.sections.lra_averages import TASKS
from harness.report.statistics import Estimate, binomial_standard_error

BIMODAL = ("Pathfinder", "Path-X")
"""Learnt or not learnt at all, so that a mean over seeds says less than how many of them learnt it."""
SOLVED = (
    "Solved: seeds whose validation accuracy rose above chance by more than three of a guess's standard errors and "
    "stayed there, of those that are done."
)
NOT_COMPARABLE = (
    "Published rows are trained at full size on the full tasks. Rows of this harness that are labelled small, "
    "shortened, subset, lossy or generated are not comparable with them."
)


@dataclass(frozen=True)
class LongRangeArena(SectionBuilder):
    """Accuracy by basis and task on the Long Range Arena."""

    def applies(self, evidence: Evidence) -> bool:
        return bool(own(evidence))

    def build(self, evidence: Evidence) -> Section:
        groups = grouped(own(evidence))
        parts = [_ours(group, index if len(groups) > 1 else 0) for index, group in enumerate(groups, 1)]
        if len(evidence.published):
            parts.append(_published(evidence.published))
        return Section("Long Range Arena accuracy", parts=tuple(parts))


def own(evidence: Evidence) -> list[Study]:
    """Studies of accuracy on the arena; equivalence studies are short by design and stay out."""
    return [
        study
        for study in evidence.studies
        if not study.equivalence and any(task["suite"] == "lra" for task in study.tasks.values())
    ]


def grouped(studies: list[Study]) -> list[list[Study]]:
    """Studies that share their axes and no task go into one table, so that six files make one row of six tasks."""
    groups: list[list[Study]] = []
    for study in studies:
        for group in groups:
            together = [title for other in group for title in other.tasks]
            if _rows(group[0]) == _rows(study) and not set(together) & set(study.tasks):
                group.append(study)
                break
        else:
            groups.append([study])
    return groups


def _rows(study: Study) -> tuple[str, ...]:
    return tuple(axis for axis in study.axes if axis not in study.task_axis)


def column(title: str) -> str:
    """`LRA Image` or `image` -> `Image`; a title that the arena does not have stays itself."""
    plain = re.sub(r"[^a-z]", "", title.lower().removeprefix("lra"))
    return next((task for task in TASKS if re.sub(r"[^a-z]", "", task.lower()) == plain), title)


def _ours(group: list[Study], number_: int) -> Part:
    axes = _rows(group[0]) or ("arm",)
    trials: dict[Arm, dict[str, list[Trial]]] = {}
    for study in group:
        for arm, members in study.arms(study.task_axis).items():
            for trial in members:
                title = study.title(trial)
                if study.tasks.get(title, {}).get("suite") == "lra":
                    trials.setdefault(arm, {}).setdefault(column(title), []).append(trial)
    present = {title for places in trials.values() for title in places}
    titles = [title for title in TASKS if title in present] + sorted(present - set(TASKS))
    told = [
        title for title in titles if title in BIMODAL and any(solved(one.get(title, [])) for one in trials.values())
    ]
    rows = []
    for arm, places in trials.items():
        row: dict[str, Any] = dict(zip(axes, arm or ("all",), strict=True))
        for title in titles:
            row[title] = words.cell(places.get(title, []), 100.0)
            if title in told:
                row[f"{title} solved"] = solved(places.get(title, []))
        rows.append(row | lra_averages.averages(places, titles))
    cells = [cell for row in rows for cell in row.values() if isinstance(cell, Estimate)]
    known = {
        title: references.by_task((one for places in trials.values() for one in places.get(title, [])), 100.0)
        for title in titles
    }
    shared = {title: references.common(groups) for title, groups in known.items()}
    for name in dict.fromkeys(name for scores in shared.values() for name in scores):
        line: dict[str, Any] = dict.fromkeys(axes, "")
        line[axes[0]] = f"reference: {name}"
        rows.append(line | {title: shared[title].get(name) for title in titles})
    data = pd.DataFrame(rows, columns=list(rows[0]))
    name = f"lra-{number_}" if number_ else "lra"
    names = words.listed(study.name for study in group)
    caption = f"Test accuracy in percent (higher is better), {names}. {words.seeds_sentence(cells)}"
    formats = {key: (text if key in axes or key.endswith(" solved") else number(1)) for key in data.columns}
    notes = [f"{study.name}: {label}." for study in group for label in study.labels]
    notes += [f"{title}: {note}" for title in titles for note in references.notes(known[title], number(1))]
    notes += [SOLVED] if told else []
    notes += lra_averages.notes(trials.values(), titles)
    notes += _sampling(trials) + [line for study in group for line in words.fewer(study, study.arms())]
    return Part(f"This harness: {names}", tables=(Table(name, caption, data, formats, tuple(notes)),))


def solved(trials: list[Trial]) -> str | None:
    """`2 of 3`: the seeds that escaped chance; None where no record speaks of it."""
    known = [trial.escaped for trial in trials if trial.escaped is not None]
    return f"{sum(known)} of {len(known)}" if known else None


def _sampling(trials: dict[Arm, dict[str, list[Trial]]]) -> list[str]:
    """The error that the size of the test set alone gives, where the record or its spec tells that size."""
    said: dict[str, tuple[float, int]] = {}
    for places in trials.values():
        for title, members in places.items():
            for trial in members:
                size = _test_examples(trial)
                if size and trial.score == trial.score:
                    error = 100 * binomial_standard_error(trial.score, size)
                    said[title] = max((error, size), said.get(title, (0.0, size)))
    return [
        f"{title}: {size:,} test examples give each accuracy a binomial standard error of up to {error:.1f} points, "
        f"which the arms of one seed share in part because they see the same examples."
        for title, (error, size) in said.items()
    ]


def _test_examples(trial: Trial) -> int:
    """M = p (1 - p) / error^2 of the recorded test accuracy p, else the spec's; 0 where neither tells it.

    A spec may leave the size to the task (the whole set), and an accuracy of 0 or 1 has no error to tell it by.
    """
    p, error = trial.last("test", "accuracy"), trial.last("test", "accuracy_standard_error")
    if error > 0:
        return round(p * (1 - p) / error**2)
    size = trial.spec["task"].get("test")
    return size if isinstance(size, int) else 0


def _published(rows: pd.DataFrame) -> Part:
    names = {"key": "Citation", "model": "Model", "average": "Average of 6"}
    names |= {"source": "Read at", "tag": "Tag", "caveat": "Caveat"}
    rows = rows.copy()
    rows.insert(list(rows.columns).index("average") + 1, "Average of 5", lra_averages.published_without_path_x(rows))
    kin = rows["model"].str.startswith("S4")
    caption = (
        "Published test accuracies in percent, as read at the source named. Averages count ✗ (not above chance) as 50; "
        "that of 5, without Path-X, is computed here from the row. Tag V: read at the primary source; V2: read in a "
        "later paper's table that copies it."
    )
    tables = [
        Table(name, f"{what} {caption}", part.rename(columns=names))
        for name, what, part in (
            ("lra-published-s4", "S4 and S4D.", rows[kin]),
            ("lra-published-others", "Other models.", rows[~kin]),
        )
        if len(part)
    ]
    return Part("Published rows, for orientation", sentences=(NOT_COMPARABLE,), tables=tuple(tables))
