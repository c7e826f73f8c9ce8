"""Timings as rows: one for each arm, contestant and direction, with the ratio to the baseline and what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.evidence import Arm, Study, Trial, canonical
from harness.report.sections.refusals import refusal
from harness.report.statistics import Estimate, quartiles, ratio_interval

AGAIN = "#2"
"""The mark of the second timing of the baseline."""
BASELINE_DRIFT = 0.05
"""Two timings of the baseline that differ by more than this share make their row unreliable."""
DIRECTIONS = {"forward": "forward", "both": "forward + backward"}
SIZES = ("length", "state", "heads", "batch")
NOTHING = Estimate(math.nan, math.nan, math.nan, 0)
PROTOCOL = ("backends", "baseline", "direction", "repeats", "gate_heads", "memory", "budget_s", "budget_gib")
"""Parameters of the timer that decide how it is measured, and not what."""
Round = tuple[str, int]
"""A trial's id and the number of the round."""


@dataclass(frozen=True)
class Timing:
    """One contestant in one arm and direction. Where it was not timed the seconds are nan, and the note says why."""

    arm: Arm
    backend: str
    baseline: str
    direction: str
    device: str
    what: str
    """"kernel", "layer" or "step"."""
    basis: str
    structure: str
    sizes: Mapping[str, int]
    """`SIZES` of the timer."""
    setting: str
    """Everything else that was timed with: arms that differ in sizes alone have the same."""
    samples: Mapping[Round, float]
    """Seconds."""
    speed: Estimate = NOTHING
    """Times as fast as the baseline."""
    error: float = math.nan
    gradient_error: float = math.nan
    first_call_s: float = math.nan
    peak_bytes: float = math.nan
    memory_ratio: float = math.nan
    """The baseline's peak over this one."""
    flops: float = math.nan
    moved_bytes: float = math.nan
    """Useful work of a call."""
    gemm_flops_per_s: float = math.nan
    copy_bytes_per_s: float = math.nan
    """What the machine can do, in the same run."""
    note: str = ""

    @property
    def timed(self) -> bool:
        return bool(self.samples)

    @property
    def outcome(self) -> str:
        """ "ok", or the note in a word."""
        return self.note.partition(":")[0] or "ok"

    @property
    def seconds(self) -> tuple[float, float, float]:
        """25th, 50th and 75th percentile."""
        return quartiles(list(self.samples.values())) if self.samples else (math.nan,) * 3

    @property
    def median(self) -> float:
        return self.seconds[1]

    @property
    def elements(self) -> int:
        """Numbers that come out: batch times heads times length."""
        return self.sizes["batch"] * self.sizes["heads"] * self.sizes["length"]

    def rate(self, seconds: float) -> float:
        """Elements per second."""
        return self.elements / seconds


def timings(study: Study) -> list[Timing]:
    """Every contestant of every arm, arms and contestants in file order; the seeds of an arm are pooled by device."""
    found = []
    for arm, members in study.arms().items():
        devices = dict.fromkeys(device(trial) for trial in members)
        for name in devices:
            trials = [trial for trial in members if device(trial) == name]
            for backend in trials[0].spec["timer"]["backends"]:
                found += _contestant(arm, name, trials, str(backend))
    return found


def device(trial: Trial) -> str:
    about = trial.header.get("device", {})
    return str(about.get("name") or about.get("kind") or "unknown device")


def _contestant(arm: Arm, where: str, trials: Sequence[Trial], backend: str) -> list[Timing]:
    """A row for each direction; one for all where the same reason kept it from every one."""
    wanted = list(DIRECTIONS) if trials[0].spec["timer"].get("direction") == "both" else ["forward"]
    notes = {direction: _note(trials, backend, direction) for direction in wanted}
    shared = _about(arm, where, trials, backend)
    if all(notes.values()) and len(set(notes.values())) == 1:
        return [Timing(**shared, samples={}, direction=DIRECTIONS[wanted[-1]], note=notes[wanted[-1]])]
    rows = []
    for direction, note in notes.items():
        here = shared | {"direction": DIRECTIONS[direction], "note": note}
        rows.append(Timing(**here, samples={}) if note else Timing(**here | _measured(trials, backend, direction)))
    return rows


def _note(trials: Sequence[Trial], backend: str, direction: str) -> str:
    said = refusal(trials, backend, direction)
    return said or ("" if _samples(trials, backend, direction) else "not timed: no timing was recorded")


def _about(arm: Arm, where: str, trials: Sequence[Trial], backend: str) -> dict[str, Any]:
    """What all directions of a contestant share."""
    spec = trials[0].spec
    timer = spec["timer"]
    apart = {key: value for key, value in timer.items() if key not in (*SIZES, *PROTOCOL)}
    return {
        "arm": arm,
        "backend": backend,
        "baseline": str(timer["baseline"]),
        "device": where,
        "what": str(timer["name"]),
        "basis": str(spec["basis"]["name"]),
        "structure": str(timer["structure"]),
        "sizes": {size: int(timer.get(size, 1)) for size in SIZES},
        "setting": canonical([apart, spec["basis"], spec.get("dt")]),
        "error": _worst(trials, backend, "error"),
        "gradient_error": _worst(trials, backend, "gradient_error"),
        "first_call_s": _worst(trials, backend, "first_call_s"),
    }


def _measured(trials: Sequence[Trial], backend: str, direction: str) -> dict[str, Any]:
    """What is known of a contestant that was timed."""
    baseline = str(trials[0].spec["timer"]["baseline"])
    samples, base = (_samples(trials, one, direction) for one in (backend, baseline))
    # Against itself the baseline would be exactly 1; against its second timing it shows how far chance alone goes.
    rival = _samples(trials, baseline + AGAIN, direction) if backend == baseline else samples
    peak, base_peak = (_worst(trials, one, f"{direction}_peak_bytes") for one in (backend, baseline))
    first, full = (_worst(trials, backend, name) for name in ("first_call_s", f"{direction}_first_s"))
    return {
        "samples": samples,
        "speed": faster(base, rival),
        "first_call_s": full if full > first else first,
        "peak_bytes": peak,
        "memory_ratio": base_peak / peak if peak else math.nan,
        "flops": _worst(trials, "work", f"{direction}_flops"),
        "moved_bytes": _worst(trials, "work", f"{direction}_bytes"),
        "gemm_flops_per_s": _worst(trials, "ceiling", "gemm_flops_per_s"),
        "copy_bytes_per_s": _worst(trials, "ceiling", "copy_bytes_per_s"),
        "note": _drift(trials, baseline, direction),
    }


def faster(slow: Mapping[Round, float], fast: Mapping[Round, float]) -> Estimate:
    """How many times as fast `fast` is as `slow`, over the rounds that have both."""
    shared = [at for at in slow if at in fast]
    return ratio_interval([slow[at] for at in shared], [fast[at] for at in shared])


def _samples(trials: Sequence[Trial], backend: str, direction: str) -> dict[Round, float]:
    name = f"{backend}/{direction}_s"
    return {(trial.id, step): value for trial in trials for step, value in trial.series("timing", name)}


def _worst(trials: Sequence[Trial], backend: str, measure: str) -> float:
    """The largest value over the trials; a nan or infinite error counts as infinite."""
    values = [value for trial in trials for _, value in trial.series("run", f"{backend}/{measure}")]
    if not values:
        rows = (row for trial in trials for row in trial.record.rows)
        gates = [row for row in rows if row["row"] == "gate" and row.get("backend") == backend]
        values = [float(row[measure]) for row in gates if row.get(measure) is not None]
    return max((math.inf if math.isnan(value) else value for value in values), default=math.nan)


def _drift(trials: Sequence[Trial], baseline: str, direction: str) -> str:
    """A warning when the two timings of the baseline differ by more than `BASELINE_DRIFT`."""
    first, again = (list(_samples(trials, baseline + mark, direction).values()) for mark in ("", AGAIN))
    if not first or not again:
        return ""
    before, after = quartiles(first)[1], quartiles(again)[1]
    drift = abs(after - before) / min(before, after)
    return f"unreliable: the baseline's two timings differ by {drift:.0%}" if drift > BASELINE_DRIFT else ""
