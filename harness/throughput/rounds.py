"""The rounds: every contestant once in each, in every direction, the order turned by one from round to round."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from harness.throughput.bench import FAULTS, Bench
from harness.throughput.clock import Timed
from harness.throughput.contestant import Contestant

SLOW_S = 1.0
SLOW_REPEATS = 5
"""A call above SLOW_S is repeated only this often, in rounds spread over all: one whose every call up to the end of the
first round was, the baseline's two together, so that a spike makes none slow."""
AGAIN = "#2"
"""Marks the second timing of the baseline."""

Calls = dict[tuple[str, str], Timed]
"""(label, direction) to what is timed."""


def time_rounds(bench: Bench, fitting: Mapping[Contestant, tuple[str, ...]]) -> None:
    """Emit the seconds of every call of every round. The baseline runs a second time in each, as `<baseline>#2`."""
    ready: Calls = {}
    least: dict[tuple[str, str], float] = {}
    for contestant, directions in fitting.items():
        ready |= _warm(bench, contestant, directions, least)
    baseline = str(bench.timer.baseline)
    ready |= {(label + AGAIN, where): call for (label, where), call in ready.items() if label == baseline}
    order = [key for where in ("forward", "both") for key in ready if key[1] == where]
    stride = -(-bench.timer.repeats // SLOW_REPEATS)
    for repeat in range(bench.timer.repeats):
        turn = repeat % len(order) if order else 0
        for key in order[turn:] + order[:turn]:
            label, where = key
            once = label.removesuffix(AGAIN), where
            if repeat % stride and least[once] > SLOW_S:
                continue
            seconds = bench.clock.steady(ready[key], least[once])
            bench.metric(label, f"{where}_s", seconds, split="timing", step=repeat)
            if repeat == 0:
                least[once] = min(least[once], seconds)


def _warm(
    bench: Bench, contestant: Contestant, directions: tuple[str, ...], least: dict[tuple[str, str], float]
) -> Calls:
    """Call every direction once at full size, its seconds into `least`; none is timed when one fails, or is wrong."""
    ready: Calls = {}
    try:
        call = bench.full.call(contestant) if directions else None
        for direction in directions:
            assert call is not None
            timed = bench.launched(call, direction)
            outputs: list[object] = []
            seconds = bench.clock(partial(_kept, timed, outputs))
            bench.metric(contestant.text, f"{direction}_first_s", seconds)
            if direction == "forward" and not _agrees(bench, contestant, outputs[0]):
                bench.failed(contestant, "At full size its output is not that of the recurrence.")
                return {}
            ready[contestant.text, direction] = timed
            least[contestant.text, direction] = seconds
    except FAULTS as fault:
        bench.failed(contestant, fault)
        return {}
    return ready


def _kept(timed: Timed, outputs: list[object]) -> None:
    outputs.append(timed())


def _agrees(bench: Bench, contestant: Contestant, output: object) -> bool:
    if not isinstance(output, torch.Tensor):
        return True  # A replayed graph returns nothing.
    part = bench.full.part_of(output, bench.heads)
    return (
        bool(torch.isfinite(output).all())
        if part is None
        else bench.gates[-1].agrees(part, bench.tolerances[contestant])
    )
