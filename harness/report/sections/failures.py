"""Every trial that did not end done, and what that does to the conclusions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from harness.records import STATUSES
from harness.report import words
from harness.report.evidence import Evidence, Study
from harness.report.section import Part, Section, SectionBuilder, Table, text

MEANING = {
    "diverged": "a loss or gradient stopped being finite; a property of the arm, and its cell rests on fewer seeds",
    "stopped": "stopped early by the study's own rule",
    "timeout": "ran past its time limit; a longer limit may finish it",
    "out_of_memory": "needed more memory than it was given",
    "unsupported": "the named backend or structure cannot run it, and nothing else was put in its place",
    "error": "raised an error; a rerun tries it again",
    "interrupted": "was cut, or is still running; a rerun goes on from its last checkpoint",
}


@dataclass(frozen=True)
class Failures(SectionBuilder):
    """Trials that are not done, by class, with their reasons."""

    def applies(self, evidence: Evidence) -> bool:
        return True

    def build(self, evidence: Evidence) -> Section:
        counts = Counter(trial.status for trial in evidence.trials)
        summary = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
        lead = [f"{words.count(len(evidence.trials), 'trial')}: {summary}."]
        lead += [f"{status}: {MEANING[status]}." for status in STATUSES if counts[status] and status in MEANING]
        parts = [_part(study) for study in evidence.studies]
        if not any(part.tables or part.sentences for part in parts):
            lead.append("Nothing failed and nothing is missing, so no conclusion above is weakened by absent trials.")
        return Section("Failures", tuple(lead), tuple(part for part in parts if part.tables or part.sentences))


def _part(study: Study) -> Part:
    wrong = [trial for trial in study.trials if trial.status != "done"]
    rows = [
        {
            "trial": trial.id,
            "arm": words.arm_name(study.arm(trial)),
            "seed": trial.seed,
            "status": trial.status,
            "attempts": (trial.record.end or {}).get("attempt", 1),
            "reason": trial.reason,
        }
        for trial in wrong
    ]
    sentences = []
    if unlike := Counter(trial.status for trial in study.tuning if trial.status != "done"):
        said = words.listed(f"{unlike[status]} {status}" for status in STATUSES if unlike[status])
        sentences.append(f"Of {words.count(len(study.tuning), 'tuning trial')}, {said}; they are listed under Search.")
    absent = study.planned - len(study.trials)
    if absent > 0:
        sentences.append(f"{words.count(absent, 'planned trial')} of {study.planned} have no record yet.")
    if wrong:
        touched = dict.fromkeys(words.arm_name(study.arm(trial)) for trial in wrong)
        sentences.append(
            f"{len(wrong)} of {words.count(len(study.trials), 'trial')} did not end done. Cells that rest on fewer "
            f"seeds, and seeds that left the paired contrasts: {words.listed(touched)}."
        )
    empty = [words.arm_name(arm) for arm, trials in study.arms().items() if all(one.status != "done" for one in trials)]
    if empty:
        sentences.append(f"Nothing can be said about {words.listed(empty)}: no seed is done.")
    if any(trial.status == "diverged" for trial in wrong):
        sentences.append("Means over the remaining seeds flatter an arm that diverges: read them with the count.")
    data = pd.DataFrame(rows)
    name = f"failures-{study.name}"
    caption = f"Trials of {study.name} that are not done."
    tables = (Table(name, caption, data, dict.fromkeys(data.columns, text)),) if rows else ()
    return Part(study.name, sentences=tuple(sentences), tables=tables)
