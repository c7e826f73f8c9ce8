"""Throughput: how fast each contestant is, after it proved to be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report import words
from harness.report.evidence import Evidence, Study
from harness.report.section import Part, Section, SectionBuilder, plain, ranged
from harness.report.sections.growth import growth_figures, growth_table, lines
from harness.report.sections.leads import leads_table
from harness.report.sections.losses import GIVEN, losses, name_of
from harness.report.sections.parts import parts_findings, parts_table
from harness.report.sections.roofline import roofline_table
from harness.report.sections.throughput_table import times_table
from harness.report.sections.timings import BASELINE_DRIFT, Timing, timings

SAID = 4
"""So many pairs of contestant and baseline are told in sentences; of more, the tables alone tell."""


@dataclass(frozen=True)
class Throughput(SectionBuilder):
    """Timings by contestant and size, with ratios, errors, memory, growth and refusals."""

    def applies(self, evidence: Evidence) -> bool:
        return any(study.kind == "throughput" for study in evidence.studies)

    def build(self, evidence: Evidence) -> Section:
        lead = (
            "Contestants are timed in turn, round after round, in one process, after each has agreed with a float64 "
            "recurrence in its output and its gradients. The ratio is the baseline's time over the contestant's (above "
            "1: faster than the baseline), the median over rounds with a 95 % block-bootstrap interval.",
            "The baseline is timed twice in every round, and its own ratio is the first timing over the second; where "
            f"the two medians differ by more than {BASELINE_DRIFT:.0%}, the row is marked unreliable.",
        )
        own = [study for study in evidence.studies if study.kind == "throughput"]
        return Section("Throughput", lead, tuple(_part(study) for study in own))


def _part(study: Study) -> Part:
    rows = timings(study)
    stem = f"throughput-{study.name}"
    groups: dict[tuple[str, str], list[Timing]] = {}
    for row in rows:
        groups.setdefault((row.what, row.structure), []).append(row)
    tables = []
    for (what, structure), members in groups.items():
        name = stem if len(groups) == 1 else f"{stem}-{what}-{structure}"
        leads = leads_table(name, study, members)
        tables += [*([leads] if leads else []), times_table(name, study, members)]
    grown = lines(rows)
    tables += [growth_table(stem, grown)] if grown else []
    parts = parts_table(stem, study, rows)
    tables += [parts] if parts else []
    roofline = roofline_table(stem, study, rows)
    tables += [roofline] if roofline else []
    return Part(study.name, sentences=tuple(losses(rows)), tables=tuple(tables), figures=growth_figures(stem, grown))


def findings(study: Study) -> list[str]:
    """The fastest contestant, its ratio and where, the headline first."""
    rows = timings(study)
    baselines = words.listed(dict.fromkeys(row.baseline for row in rows))
    rivals = [row for row in rows if row.timed and row.backend != row.baseline]
    said = [*_refused(rows), *losses(rows)]
    doubtful = sum(row.note.startswith("unreliable") for row in rivals)
    if doubtful:
        said.append(f"{doubtful} of {words.count(len(rivals), 'timing')} marked unreliable: the machine was not quiet.")
    if not rivals and (found := parts_findings(study, rows)):
        return [*found, *said]
    if not rivals:
        return [f"Cannot tell: nothing but the baseline {baselines} was timed.", *said]
    pairs = dict.fromkeys((row.backend, row.baseline) for row in rivals)
    for backend, baseline in pairs if len(pairs) <= SAID else ():
        mine = [row for row in rivals if (row.backend, row.baseline) == (backend, baseline) and row.speed.n]
        if not mine:
            continue
        slow, fast = (pick(mine, key=lambda row: row.speed.value) for pick in (min, max))
        span = plain(slow.speed.value) if slow is fast else f"{plain(slow.speed.value)} to {plain(fast.speed.value)}"
        faster = sum(_faster(row) for row in mine)
        slower = sum(not row.note and row.speed.has_interval and row.speed.high < 1 for row in mine)
        said.append(
            f"{backend} is {span} times as fast as {baseline}: faster in {faster}, slower in {slower} and not told "
            f"apart in {len(mine) - faster - slower} of {words.count(len(mine), 'timing')}."
        )
    real = (row for row in rivals if name_of(row.backend) != GIVEN)
    best = max(filter(_faster, real), key=lambda row: row.speed.value, default=None)
    if best is None:
        return [f"No backend is shown to be faster than {baselines}.", *said]
    return [
        f"Fastest: {best.backend}, {ranged(3)(best.speed)} times as fast as {best.baseline} "
        f"({best.direction}, {words.arm_name(best.arm)}).",
        *said,
    ]


def _refused(rows: Sequence[Timing]) -> list[str]:
    """Who was not timed in at least one arm, by why."""
    kinds = {
        "failed gate": "Failed the correctness gate in at least one arm: {}.",
        "raised an error": "Raised an error before it could be timed in at least one arm: {}.",
        "unsupported": "Unsupported in at least one arm: {}.",
        "left out": "Left out in at least one arm, because it would not have fitted: {}.",
    }
    said = []
    for kind, sentence in kinds.items():
        if who := dict.fromkeys(row.backend for row in rows if row.note.startswith(kind)):
            said.append(sentence.format(words.listed(who)))
    return said


def _faster(row: Timing) -> bool:
    """Whether the row shows its backend to be faster than the baseline: a quiet machine, an interval above 1."""
    return not row.note and row.speed.has_interval and row.speed.low > 1
