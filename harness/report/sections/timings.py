"""Kernel timings as rows: one for each arm, backend and direction, with the ratio to the baseline."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.evidence import Arm, Study, Trial
from harness.report.statistics import Estimate, quartiles, ratio_interval

AGAIN = "#2"
"""The mark of the second timing of the baseline."""
BASELINE_DRIFT = 0.05
"""Two timings of the baseline that differ by more than this share make their row unreliable."""
LONGEST_REASON = 400
"""Characters of a compiler's complaint that are printed."""
MEASURES = {"forward_s": "forward", "both_s": "forward + backward"}


@dataclass(frozen=True)
class Timing:
    """One backend in one arm. Without timings (failed gate, unsupported) the seconds are nan."""

    arm: Arm
    backend: str
    baseline: str
    direction: str
    device: str
    length: int
    heads: int
    state: int
    seconds: tuple[float, float, float]
    """25th, 50th and 75th percentile."""
    repeats: int
    speed: Estimate
    """Times as fast as the baseline."""
    error: float
    gradient_error: float
    first_call_s: float
    note: str

    @property
    def timed(self) -> bool:
        return math.isfinite(self.seconds[1])

    def rate(self, seconds: float) -> float:
        """Kernel entries per second: heads times length over seconds."""
        return self.heads * self.length / seconds


def timings(study: Study) -> list[Timing]:
    """Every backend of every arm, arms and backends in file order; the seeds of an arm are pooled by device."""
    found = []
    for arm, members in study.arms().items():
        devices = dict.fromkeys(device(trial) for trial in members)
        for name in devices:
            trials = [trial for trial in members if device(trial) == name]
            for backend in trials[0].spec["timer"]["backends"]:
                found += _backend(arm, name, trials, str(backend))
    return found


def device(trial: Trial) -> str:
    about = trial.header.get("device", {})
    return str(about.get("name") or about.get("kind") or "unknown device")


def _backend(arm: Arm, where: str, trials: Sequence[Trial], backend: str) -> list[Timing]:
    timer = trials[0].spec["timer"]
    baseline = str(timer["baseline"])
    note = _refusal(trials, backend)
    measured = [name for name in MEASURES if _values(trials, backend, name)]
    shared: dict[str, Any] = {
        "arm": arm,
        "backend": backend,
        "baseline": baseline,
        "device": where,
        "length": int(timer["length"]),
        "heads": int(timer["heads"]),
        "state": int(timer["state"]),
        "error": _worst(trials, backend, "error"),
        "gradient_error": _worst(trials, backend, "gradient_error"),
        "first_call_s": _worst(trials, backend, "first_call_s"),
    }
    nothing = Estimate(math.nan, math.nan, math.nan, 0)
    if note or not measured:
        direction = "forward + backward" if timer.get("direction") == "both" else "forward"
        untimed: dict[str, Any] = {"seconds": (math.nan,) * 3, "repeats": 0, "speed": nothing, "direction": direction}
        return [Timing(**shared, **untimed, note=note or "not timed: no timing was recorded")]
    rows = []
    # Against itself the baseline would be exactly 1; against its second timing it shows how far chance alone goes.
    rival = baseline + AGAIN if backend == baseline else backend
    for name in measured:
        values = _values(trials, backend, name)
        pairs = [
            (base, other)
            for trial in trials
            for base, other in zip(_values([trial], baseline, name), _values([trial], rival, name), strict=False)
        ]
        speed = ratio_interval([base for base, _ in pairs], [other for _, other in pairs])
        timed: dict[str, Any] = {
            "seconds": quartiles(values),
            "repeats": len(values),
            "speed": speed,
            "direction": MEASURES[name],
        }
        rows.append(Timing(**shared, **timed, note=_drift(trials, baseline, name)))
    return rows


def _values(trials: Sequence[Trial], backend: str, measure: str) -> list[float]:
    return [value for trial in trials for _, value in trial.series("timing", f"{backend}/{measure}")]


def _worst(trials: Sequence[Trial], backend: str, measure: str) -> float:
    """The largest value over the trials; a nan or infinite error counts as infinite."""
    values = [value for trial in trials for _, value in trial.series("run", f"{backend}/{measure}")]
    if not values:
        gates = [row for trial in trials for row in trial.record.rows if _is(row, "gate", backend)]
        values = [float(row[measure]) for row in gates if row.get(measure) is not None]
    return max((math.inf if math.isnan(value) else value for value in values), default=math.nan)


def _is(row: dict[str, object], kind: str, backend: str) -> bool:
    return row["row"] == kind and row.get("backend") == backend


def _refusal(trials: Sequence[Trial], backend: str) -> str:
    """Why a backend was not timed; empty where it was."""
    for trial in trials:
        for row in trial.record.rows:
            if _is(row, "unsupported", backend):
                return "unsupported: " + " ".join(map(str, row["reasons"]))
            if _is(row, "gate", backend) and not row["passed"] and row.get("reason"):
                reason = textwrap.shorten(str(row["reason"]), LONGEST_REASON, placeholder=" …").rstrip(".")
                return f"raised an error: {reason}, so it was not timed"
            if _is(row, "gate", backend) and not row["passed"]:
                return "failed gate: it does not agree with the float64 recurrence, so it was not timed"
    if all(trial.status != "done" for trial in trials):
        return f"not timed: the trial ended {trials[0].status}"
    return ""


def _drift(trials: Sequence[Trial], baseline: str, measure: str) -> str:
    """A warning when the two timings of the baseline differ by more than `BASELINE_DRIFT`."""
    again = _values(trials, baseline + AGAIN, measure)
    if not again:
        return ""
    first, second = quartiles(_values(trials, baseline, measure))[1], quartiles(again)[1]
    drift = abs(second - first) / min(first, second)
    return f"unreliable: the baseline's two timings differ by {drift:.0%}" if drift > BASELINE_DRIFT else ""
