"""Runs a timing: the gate first, then what fits, then every contestant in every round, so that drift hits all alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.throughput.bench import DIRECTIONS, Bench, Emit
from harness.throughput.contestant import Contestant
from harness.throughput.fit import fitting
from harness.throughput.meter import Meter
from harness.throughput.recipe_step import RecipeCall
from harness.throughput.rounds import time_rounds
from harness.throughput.shares import shares
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
            if directions and (passed := bench.gated(contestant, directions)):
                kept[contestant] = fitting(bench, contestant, passed, meter)
    time_rounds(bench, kept)
    _profile(bench, kept)
    bench.ceilings(1)


def _profile(bench: Bench, kept: Mapping[Contestant, tuple[str, ...]]) -> None:
    """Where the time of one whole step of each contestant goes; what a first call compiles is not in it."""
    for contestant, directions in kept.items():
        if "both" not in directions:
            continue
        call = bench.full.call(contestant)
        if not isinstance(call, RecipeCall):
            return
        if call.update.config.compile:
            call.both()
        seconds, found = shares(call.both, call.update.model, bench.device)
        bench.metric(contestant.text, "profiled_s", seconds)
        for (direction, part), share in found.items():
            bench.metric(contestant.text, f"{direction}_share/{part}", share, split="parts", unit="")
