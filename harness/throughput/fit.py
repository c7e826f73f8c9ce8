"""Who fits: directions of a contestant whose predicted time and memory are within the budget; and its peak memory."""

from __future__ import annotations

from harness.throughput.bench import FAULTS, Bench
from harness.throughput.contestant import Contestant
from harness.throughput.meter import Ended, Meter, Unmeasured
from harness.throughput.predict import available_bytes, predicted_s, too_large, too_slow

PLENTY_BYTES = 256
"""For each of H L (N + M) numbers: over twice what the hungriest method known here takes, S4's plain Cauchy sums. Where
even that fits the machine nothing is predicted; were it exceeded, the process that measures memory alone would die.
"""


def fitting(bench: Bench, contestant: Contestant, directions: tuple[str, ...], meter: Meter) -> tuple[str, ...]:
    """The `directions` that are to be timed; each other one has a row that says why it is left out."""
    kept = []
    for direction in directions:
        try:
            reason = _slow(bench, contestant, direction)
            if not reason and (bench.timer.memory or bench.timer.budget_gib is not None):
                reason = _large(bench, contestant, direction, meter)
        except FAULTS as fault:
            bench.failed(contestant, fault)
            return ()
        if reason:
            bench.emit({"row": "left_out", "backend": contestant.text, "direction": direction, "reason": reason})
        else:
            kept.append(direction)
    return tuple(kept)


def _slow(bench: Bench, contestant: Contestant, direction: str) -> str:
    timer = bench.timer
    seconds = predicted_s(
        lambda heads: bench.seconds(contestant, direction, heads), bench.heads, timer.heads, timer.budget_s
    )
    return too_slow(seconds, timer.budget_s, bench.heads, timer.heads)


def _large(bench: Bench, contestant: Contestant, direction: str, meter: Meter) -> str:
    """Why the call is too large; where it is not, its peak is a row. Predicted from few heads, measured with all."""
    timer = bench.timer
    stated = timer.budget_gib is not None
    allowed = available_bytes(bench.device) if timer.budget_gib is None else timer.budget_gib * 2**30
    try:
        plenty = PLENTY_BYTES * timer.heads * timer.length * (timer.state + timer.batch_size)
        if stated or plenty > allowed:
            predicted = meter.peak_bytes(contestant.text, direction, bench.heads) * timer.heads / bench.heads
            if reason := too_large(predicted, allowed, stated, bench.heads, timer.heads):
                return reason
        if not timer.memory:
            return ""
        peak = meter.peak_bytes(contestant.text, direction)
    except Ended as ended:
        return str(ended)
    except Unmeasured as unmeasured:
        row = {"row": "unmeasured", "backend": contestant.text, "direction": direction, "reason": str(unmeasured)}
        bench.emit(row)
        return ""
    bench.metric(contestant.text, f"{direction}_peak_bytes", peak, unit="B")
    return ""
