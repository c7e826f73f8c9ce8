"""What was asked, what was predicted and what was found, in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from harness import contrast
from harness.errors import UsageError
from harness.report import words
from harness.report.evidence import Evidence, Study
from harness.report.section import Part, Section, SectionBuilder, Table
from harness.report.sections import contrasts, equivalence, throughput


@dataclass(frozen=True)
class Verdict(SectionBuilder):
    """Question, prediction and finding of every ablation."""

    def applies(self, evidence: Evidence) -> bool:
        return True

    def build(self, evidence: Evidence) -> Section:
        return Section("Verdict", parts=tuple(part(study) for study in evidence.studies))


def part(study: Study) -> Part:
    quotes = (("Question", str(study.ablation["question"])), ("Prediction", str(study.ablation["expect"])))
    done = sum(trial.status == "done" for trial in study.trials)
    counted = f"{done} of {words.count(study.planned, 'planned trial')} done."
    if study.set_aside:
        counted += (
            f" Set aside, because it comes from another form of the file or was run with other settings: "
            f"{words.count(study.set_aside, 'record')}."
        )
    if study.tune:
        tried = words.count(study.tune["trials"], "configuration")
        counted += (
            f" Each arm's configuration is the best on validation of {tried}, confirmed on fresh seeds (see Search)."
        )
    tables: tuple[Table, ...] = ()
    if done == 0:
        headline, more = "Cannot tell: no trial is done.", []
    elif study.kind == "throughput":
        headline, *more = throughput.findings(study)
    elif study.equivalence:
        headline, *more = equivalence.findings(study)
    else:
        (headline, *more), tables = findings(study)
    return Part(study.name, quotes, headline, (*more, counted), tables, tuple(study.labels))


def findings(study: Study) -> tuple[list[str], tuple[Table, ...]]:
    """The headline and what is behind it for the primary contrast: sentences of one task, a table of several."""
    primary = study.ablation.get("primary")
    if not primary:
        none = "No verdict: the file names no primary contrast, so everything below is exploratory."
        return [none, *_leaders(study)], ()
    try:
        wanted = contrast.parse(str(primary), study.levels)
    except UsageError as problem:
        return [f"No verdict: the primary contrast cannot be read. {problem}"], ()
    found = {
        title: (task, contrasts.difference(study, study.on(title), wanted))
        for title, task in study.tasks.items()
        if any(contrasts.matches(trial, wanted) for trial in study.on(title))
    }
    if not found:
        return ["Cannot tell: no trial belongs to the primary contrast."], ()
    if len(found) > 1:
        return [contrasts.summary(wanted, found)], (contrasts.table(study.name, wanted, found),)
    [(title, (task, one))] = found.items()
    return contrasts.sentences(title, task, wanted, one), ()


def _leaders(study: Study) -> list[str]:
    """The best mean for each task, said to be no more than that."""
    said = []
    for title, task in study.tasks.items():
        cells = {
            arm: words.cell([trial for trial in trials if study.title(trial) == title])
            for arm, trials in study.arms().items()
        }
        known = {arm: one for arm, one in cells.items() if one.n}
        if known:
            pick = max if task["higher_is_better"] else min
            arm = pick(known, key=lambda one: known[one].value)
            shown = words.value(known[arm].value, task)
            said.append(f"{title}: the best mean {task['primary']} is {shown}, by {words.arm_name(arm)}.")
    return said
