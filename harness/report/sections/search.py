"""How the configurations were found: method, space, budget, what was tried, and what more trials would bring."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from harness.records import STATUSES
from harness.report import searches, style, words
from harness.report.evidence import Arm, Evidence, Study
from harness.report.searches import Configuration
from harness.report.section import Figure, Format, Part, Section, SectionBuilder, Table, significant, text
from harness.report.statistics import expected_best

RULES = {
    "asha": "asynchronous successive halving (Li et al. 2020): at the evaluations 1, 3, 9, ... a trial that is not in "
    "the best third of its arm's trials so far ends `stopped`",
    "median": "the median rule (Golovin et al. 2017): a trial ends `stopped` where its best so far is worse than the "
    "median of its arm's other trials' running means",
}
Tried = Mapping[Arm, Sequence[Configuration]]


@dataclass(frozen=True)
class Search(SectionBuilder):
    """The tuning stage of every search: its budget, its trials and the expected best of n."""

    def applies(self, evidence: Evidence) -> bool:
        return any(study.tuning for study in evidence.studies)

    def build(self, evidence: Evidence) -> Section:
        lead = "Validation scores of the tuning stage, by which configurations were chosen; none of them is a result."
        return Section("Search", (lead,), tuple(_part(study) for study in evidence.studies if study.tuning))


def _part(study: Study) -> Part:
    tried = searches.configurations(study)
    tasks: dict[str, Mapping[str, Any]] = {}
    groups: dict[str, dict[Arm, Sequence[Configuration]]] = {}
    for arm, found in tried.items():
        task = next((trial.task for one in found for trial in one.trials if "title" in trial.task), None)
        if task is not None:
            tasks[task["title"]] = task
            groups.setdefault(task["title"], {})[arm] = found
    tables, figures = [], []
    for title, group in groups.items():
        stem = f"{study.name}-{title.lower()}" if len(groups) > 1 else study.name
        tables.append(_arms(stem, study, group, tasks[title]))
        figures.append(_curve(stem, group, tasks[title], study))
    return Part(
        study.name, sentences=_sentences(study, tried), tables=(*tables, _trials(study, tried)), figures=tuple(figures)
    )


def _sentences(study: Study, tried: Tried) -> tuple[str, ...]:
    tune = study.tune
    said = [f"Method: {tune['method']} (Optuna), a study for each arm. Space: {_space(tune['space'])}."]
    budget = f"Budget: {words.count(tune['trials'], 'configuration')} for each arm, a repeated suggestion counted once"
    repeats = words.count(int(study.ablation["repeats"]), "fresh seed")
    said.append(
        f"{budget}, on {words.count(tune['seeds'], 'seed')} from {tune['seed']} on. The best on validation that ended "
        f"done is trained again on {repeats}; those scores are the ones above."
    )
    if tune["pruner"]:
        said.append(f"Early stopping, in this stage alone: {RULES[tune['pruner']]}.")
    short = [f"{words.arm_name(arm)} {len(found)}" for arm, found in tried.items() if len(found) < tune["trials"]]
    if short:
        said.append(f"Fewer configurations than the budget have a record: {words.listed(short)}.")
    without = [words.arm_name(arm) for arm, found in tried.items() if all(one.status != "done" for one in found)]
    if without:
        said.append(f"No configuration is done, so none is confirmed: {words.listed(without)}.")
    return tuple(said)


def _space(space: Mapping[str, Any]) -> str:
    said = []
    for path, values in space.items():
        if isinstance(values, list):
            said.append(f"{path} one of {', '.join(map(str, values))}")
        else:
            more = ", logarithmic" if values["log"] else f" in steps of {values['step']}" if "step" in values else ""
            said.append(f"{path} from {values['low']} to {values['high']}{more}")
    return "; ".join(said)


def _arms(stem: str, study: Study, group: Tried, task: Mapping[str, Any]) -> Table:
    """One row for each arm: how its trials ended, its best configuration and what that is expected to be."""
    factor, higher = words.scale(task), bool(task["higher_is_better"])
    rows = []
    for arm, found in group.items():
        best = searches.chosen(found, higher)
        row: dict[str, Any] = dict(zip(study.axes, arm, strict=True))
        row |= {"tried": len(found), "done": sum(one.status == "done" for one in found)}
        row |= {"stopped": sum(one.status == "stopped" for one in found)}
        row["failed"] = row["tried"] - row["done"] - row["stopped"]
        row["best on validation"] = best.score * factor if best else None
        row["expected best"] = expected_best(scores(found, higher), len(found), higher) * factor
        rows.append(row | {path: _shown(best.values[path]) if best else None for path in study.tune["space"]})
    formats: dict[str, Format] = dict.fromkeys(rows[0], text)
    formats |= {"best on validation": words.reference_format(task), "expected best": words.reference_format(task)}
    caption = (
        f"{study.name}: the best configuration of each arm by {words.metric(task)} on validation "
        f"({words.better(task)}), and the expected best of as many."
    )
    return Table(f"search-{stem}", caption, pd.DataFrame(rows), formats)


def scores(found: Sequence[Configuration], higher_is_better: bool) -> list[float]:
    """The score of every configuration; one that has none counts as the worst that was seen."""
    known = [one.score for one in found if math.isfinite(one.score)]
    worst = (min if higher_is_better else max)(known, default=math.nan)
    return [one.score if math.isfinite(one.score) else worst for one in found] if known else []


def _curve(stem: str, group: Tried, task: Mapping[str, Any], study: Study) -> Figure:
    factor, higher = words.scale(task), bool(task["higher_is_better"])
    lines = {arm: scores(found, higher) for arm, found in group.items()}

    def draw(canvas: Canvas) -> None:
        axes = canvas.add_subplot()
        for index, (arm, known) in enumerate(lines.items()):
            n = range(1, len(known) + 1)
            axes.plot(
                list(n),
                [factor * expected_best(known, one, higher) for one in n],
                color=style.colour(index),
                marker=style.marker(index),
                ls=style.dash(index),
                ms=3,
                label=words.arm_name(arm),
            )
        axes.set_xlabel("configurations tried, n")
        axes.set_ylabel(f"expected best {words.metric(task)}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        style.legend_below(canvas, axes)

    independent = (
        ""
        if study.tune["method"] == "random"
        else (
            f" The estimate is for independent draws, and {study.tune['method']} does not draw so: read it as a guide."
        )
    )
    caption = (
        f"{task['title']}: expected best on validation of n configurations, "
        "sum over i of v(i) ((i/N)^n - ((i-1)/N)^n) with the N scores v sorted (Dodge et al. 2019). A curve that still "
        f"rises says that the budget was short. A stopped trial counts with its best until then, one without a score "
        f"as the worst seen.{independent}"
    )
    alt = f"Expected best {task['primary']} of {words.count(len(lines), 'arm')} by number of configurations."
    return Figure(f"search-{stem}-expected", caption, alt, draw, (6.0, 3.4))


def _trials(study: Study, tried: Tried) -> Table:
    rows = []
    for arm, found in tried.items():
        for one in found:
            for trial in one.trials:
                step, score = searches.best_on_validation(trial)
                end = trial.record.end or {}
                row = {"trial": trial.id, "arm": words.arm_name(arm), "number": one.index, "seed": trial.seed}
                row |= {path: _shown(value) for path, value in one.values.items()}
                row |= {"status": trial.status, "ended at step": end.get("step"), "validation": score}
                rows.append(row | {"at step": step if math.isfinite(score) else None})
    data = pd.DataFrame(rows).astype({"ended at step": "Int64", "at step": "Int64"}).astype(object)
    data = data.where(data.notna(), None).dropna(axis="columns", how="all")
    counts = Counter(trial.status for trial in study.tuning)
    ended = words.listed(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    formats: dict[str, Format] = dict.fromkeys(map(str, data.columns), text)
    formats["validation"] = significant(3)
    caption = f"{study.name}: the trials of the tuning stage, {ended}."
    return Table(f"search-{study.name}-trials", caption, data, formats)


def _shown(value: Any) -> str:
    """A tuned value, a float with four significant digits; the record has all of them."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
