"""One timing under way: its inputs, its gates, its clock, and the rows that it emits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from harness.errors import HarnessError
from harness.throughput.ceilings import SIDE, ceilings
from harness.throughput.clock import Clock, Timed, captured
from harness.throughput.contestant import Contestant
from harness.throughput.gate import Gate, Verdict
from harness.throughput.inputs import basis_of, timer_of, workload
from harness.throughput.workload import Call

PRIME = 97
"""A short length that no block size divides, gated beside the length that is timed."""
FAULTS = (RuntimeError, MemoryError, HarnessError)
"""What a contestant may raise and lose only its own timings by."""
DIRECTIONS = {"forward": ("forward",), "both": ("forward", "both")}

Row = dict[str, Any]
Emit = Callable[[Row], None]


class Bench:
    """The inputs at full size, and gates at few heads for a short prime length and for the length that is timed."""

    def __init__(self, spec: Mapping[str, Any], device: str, emit: Emit) -> None:
        self.spec, self.device, self.emit = spec, device, emit
        self.timer = timer_of(spec)
        torch.set_num_threads(self.timer.threads)
        self.clock = Clock(device)
        self.heads = self.timer.few(basis_of(spec))
        self.full = workload(spec, device)
        lengths = sorted({self.timer.length, min(PRIME, self.timer.length)})
        self.tolerances: dict[Contestant, float] = {}
        """What the output at the length that is timed is allowed."""
        self.gates = [Gate(self.full.few(self.heads, length)) for length in lengths]

    def metric(self, who: str, name: str, value: float, *, split: str = "run", step: int = 0, unit: str = "s") -> None:
        row = {"row": "metric", "name": f"{who}/{name}", "value": value, "unit": unit, "step": step, "split": split}
        self.emit(row)

    def failed(self, contestant: Contestant, reason: str | BaseException) -> None:
        said = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
        self.emit({"row": "gate", "backend": contestant.text, "passed": False, "reason": said})

    def ceilings(self, step: int) -> None:
        """What the machine can do at this moment of the run."""
        if self.device in SIDE:
            dtype = getattr(torch, self.timer.dtype)
            for name, value in ceilings(dtype, self.device, self.clock).items():
                self.metric("ceiling", name, value, step=step, unit=name.partition("_")[2].replace("_per_", "/"))

    def supported(self, contestant: Contestant) -> tuple[str, ...]:
        """The directions that `contestant` can run; what it cannot is a row with its reasons."""
        wanted = DIRECTIONS[self.timer.direction]
        reasons = {direction: self._reasons(contestant, direction) for direction in wanted}
        for direction in wanted:
            if reasons[direction]:
                row = {"row": "unsupported", "backend": contestant.text, "reasons": list(reasons[direction])}
                if direction == "both":
                    row["direction"] = direction
                self.emit(row)
            if direction == "forward" and reasons[direction]:
                return ()
        return tuple(direction for direction in wanted if not reasons[direction])

    def _reasons(self, contestant: Contestant, direction: str) -> tuple[str, ...]:
        if self.timer.launch == "graph" and self.device != "cuda":
            return (
                f"timer.launch is 'graph', which replays CUDA graphs, but the device is '{self.device}'. "
                f"Set timer.launch to 'eager'.",
            )
        if contestant.given:
            return ()
        return contestant.backend.unsupported(self.full.asked(contestant, gradients=direction == "both"))

    def gated(self, contestant: Contestant, directions: tuple[str, ...]) -> tuple[str, ...]:
        """The `directions` in which it agrees with the recurrence at every length of the gate."""
        found: list[Verdict] = []
        gradients = "both" in directions
        for gate in self.gates:
            try:
                found.append(gate.judge(contestant, gradients))
            except FAULTS as fault:
                self.failed(contestant, fault)
                return ()
        output = max(found, key=lambda one: one.output / one.tolerance)
        slope = max(found, key=lambda one: one.gradient / one.gradient_tolerance)
        kept = tuple(one for one in directions if all(verdict.passed(one) for verdict in found))
        row = {"row": "gate", "backend": contestant.text, "passed": bool(kept)}
        row |= {"error": output.output, "tolerance": output.tolerance}
        row |= {"gradient_error": slope.gradient if gradients else None, "gradient_tolerance": slope.gradient_tolerance}
        self.emit(row)
        if kept and kept != directions:
            self.emit({**row, "passed": False, "direction": "both"})
        self.metric(contestant.text, "first_call_s", found[0].first_call_s)
        self.metric(contestant.text, "error", max(one.output for one in found), unit="")
        if gradients:
            self.metric(contestant.text, "gradient_error", max(one.gradient for one in found), unit="")
        self.tolerances[contestant] = found[-1].tolerance
        return kept

    def seconds(self, contestant: Contestant, direction: str, heads: int) -> float:
        """Of one call with so many heads, at full length."""
        return self.clock(in_direction(self.full.few(heads).call(contestant), direction))

    def launched(self, call: Call, direction: str) -> Timed:
        """What is timed: the call, or its captured graph."""
        timed = in_direction(call, direction)
        return captured(timed) if self.timer.launch == "graph" else timed


def in_direction(call: Call, direction: str) -> Timed:
    return call.both if direction == "both" else call.forward
