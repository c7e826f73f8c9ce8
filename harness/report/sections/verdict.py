"""What was asked, what was predicted and what was found, in sentences."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from harness import contrast
from harness.contrast import Contrast
from harness.errors import UsageError
from harness.report import words
from harness.report.evidence import Evidence, Study, Trial
from harness.report.section import Part, Section, SectionBuilder
from harness.report.sections import equivalence, throughput
from harness.report.statistics import LEAST_PAIRS_FOR_P, Difference, paired_difference


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
    told = (f"Read it with these labels: {'; '.join(study.labels)}.",) if study.labels else ()
    if done == 0:
        return Part(study.name, quotes, "Cannot tell: no trial is done.", (counted, *told))
    if study.kind == "throughput":
        headline, *more = throughput.findings(study)
    elif study.equivalence:
        headline, *more = equivalence.findings(study)
    else:
        headline, *more = findings(study)
    return Part(study.name, quotes, headline, (*more, counted, *told))


def findings(study: Study) -> list[str]:
    """The headline and the sentences behind it for the primary contrast, one block for each task."""
    primary = study.ablation.get("primary")
    if not primary:
        return ["No verdict: the file names no primary contrast, so everything below is exploratory.", *_leaders(study)]
    try:
        wanted = contrast.parse(str(primary), study.levels)
    except UsageError as problem:
        return [f"No verdict: the primary contrast cannot be read. {problem}"]
    said: list[str] = []
    for title, task in study.tasks.items():
        trials = study.on(title)
        if any(matches(trial, wanted) for trial in trials):
            said += _sentences(title, task, wanted, difference(study, trials, wanted))
    return said or ["Cannot tell: no trial belongs to the primary contrast."]


def matches(trial: Trial, wanted: Contrast) -> bool:
    return trial.labels[wanted.axis] in (wanted.first, wanted.second) and all(
        trial.labels[axis] == label for axis, label in wanted.within.items()
    )


def difference(study: Study, trials: list[Trial], wanted: Contrast) -> Difference:
    """first - second by seed, averaged within a seed over the other axes, where every such pair is there."""
    sides: dict[str, dict[Hashable, float]] = {wanted.first: {}, wanted.second: {}}
    for trial in trials:
        if matches(trial, wanted) and trial.status == "done":
            sides[trial.labels[wanted.axis]][(trial.seed, study.arm(trial, [wanted.axis]))] = trial.score
    first, second = sides[wanted.first], sides[wanted.second]
    places = {study.arm(trial, [wanted.axis]) for trial in trials if matches(trial, wanted)}
    seeds = {
        trial.seed for trial in trials if all((trial.seed, at) in first and (trial.seed, at) in second for at in places)
    }
    means: list[dict[Hashable, float]] = [
        {seed: sum(side[(seed, at)] for at in places) / len(places) for seed in sorted(seeds)}
        for side in (first, second)
    ]
    return paired_difference(*means)


def _sentences(title: str, task: Mapping[str, Any], wanted: Contrast, found: Difference) -> list[str]:
    estimate = found.estimate
    pair = f"{wanted.first} minus {wanted.second}"
    where = f" at {words.listed(f'{axis} {label}' for axis, label in wanted.within.items())}" if wanted.within else ""
    if estimate.n == 0:
        return [f"{title}: cannot tell. No seed has both {wanted.first} and {wanted.second}{where} done."]
    measured = f"{pair} in {task['primary']}{where} is {words.change(estimate.value, task)}"
    if estimate.n == 1:
        return [
            f"{title}: cannot tell. One seed has no interval.",
            f"On that one seed, the difference {measured} ({words.better(task)}). Raise repeats to learn more.",
        ]
    spread = f"{words.interval(estimate, task)}, {words.count(estimate.n, 'paired seed')}; {words.better(task)}"
    if estimate.covers(0.0):
        headline = f"{title}: cannot tell {wanted.first} from {wanted.second}{where}."
        reading = "The interval covers 0: the seeds do not settle which of the two is better."
    else:
        first_wins = (estimate.value > 0) == bool(task["higher_is_better"])
        winner, loser = (wanted.first, wanted.second) if first_wins else (wanted.second, wanted.first)
        headline = f"{title}: {winner} is better than {loser}{where}."
        reading = "The interval does not cover 0: the difference is larger than chance between seeds explains."
    if found.p is not None:
        test = f"Exact sign-flip test: p = {found.p:.3g}."
    elif estimate.n < LEAST_PAIRS_FOR_P:
        test = f"Fewer than {LEAST_PAIRS_FOR_P} pairs cannot reach p < .05 in an exact test, so none is printed."
    else:
        test = "With so many pairs the interval stands alone."
    return [headline, f"The difference {measured} ({spread}). {reading} {test}"]


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
