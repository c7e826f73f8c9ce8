"""The report: reads records and nothing else. Sections by name, in the order in which they are printed."""

from harness.registry import Table

SECTIONS: Table = {
    "verdict": "harness.report.sections.verdict:Verdict",
    "lra": "harness.report.sections.lra:LongRangeArena",
    "delay": "harness.report.sections.delay:Synthetic",
    "search": "harness.report.sections.search:Search",
    "equivalence": "harness.report.sections.equivalence:Equivalence",
    "throughput": "harness.report.sections.throughput:Throughput",
    "training": "harness.report.sections.training:Training",
    "bases": "harness.report.sections.bases:Gallery",
    "failures": "harness.report.sections.failures:Failures",
    "provenance": "harness.report.sections.provenance:Provenance",
}
