"""Runs a timing: the gate first, then what fits, then every contestant in every round, so that drift hits all alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.throughput.bench import DIRECTIONS, Bench, Emit
from harness.throughput.fit import fitting
from harness.throughput.meter import Meter
from harness.throughput.rounds import time_rounds
from harness.throughput.work import work


def measure(job: Mapping[str, Any], emit: Emit, device: str) -> None:
    """Run one throughput trial on `device`; results/README.md has the rows, here without time and attempt.

    A contestant that cannot run, would not fit or fails, in the gate or at full size, gets a row that says why, and the
    others are timed without it.
    """
    bench = Bench(job["spec"], device, emit)
    counted = work(bench.timer)
    for direction in DIRECTIONS[bench.timer.direction]:
        bench.metric("work", f"{direction}_flops", counted[direction].flops, unit="FLOP")
        bench.metric("work", f"{direction}_bytes", counted[direction].bytes, unit="B")
    bench.ceilings(0)
    with Meter(job["spec"], device) as meter:
        kept = {}
        for contestant in bench.timer.contestants:
            directions = bench.supported(contestant)
            if directions and bench.gated(contestant):
                kept[contestant] = fitting(bench, contestant, directions, meter)
    time_rounds(bench, kept)
    bench.ceilings(1)
