"""The timer: rounds, the baseline's second timing, faults at full size, the device, the fingerprint."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import throughput_fakes as fakes
import torch

from harness import environment, trial
from harness.throughput import clock, gate, rounds, timer
from harness.throughput.fingerprint import fingerprint
from harness.throughput.generation import Generation
from harness.throughput.layer import Layer

BASES = [("diagonal", "s4d-lin"), ("dplr", "legt"), ("dense", "legs")]
NAMES = ("reference", "two_level", "reference#2")


@pytest.mark.parametrize(("direction", "passes"), [("forward", ("forward_s",)), ("both", ("forward_s", "both_s"))])
def test_every_round_times_every_backend_once_and_the_baseline_twice(direction: str, passes: tuple[str, ...]) -> None:
    taken = fakes.timed(fakes.measured("reference", "two_level", direction=direction))
    every = {f"{name}/{which}" for name in NAMES for which in passes}
    assert Counter(taken) == Counter((step, name) for step in range(4) for name in every)
    assert [step for step, _ in taken] == sorted(step for step, _ in taken)


def test_the_order_turns_by_one_each_round() -> None:
    taken = fakes.timed(fakes.measured("reference", "two_level", direction="forward"))
    rounds = [[name for step, name in taken if step == one] for one in range(4)]
    assert all(later == before[1:] + before[:1] for before, later in pairwise(rounds))


@pytest.mark.parametrize("fault", [RuntimeError("out of memory"), MemoryError("too large")])
def test_a_fault_at_full_size_loses_only_the_timings_of_its_backend(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.Broken, "fault", fault)
    monkeypatch.setattr(fakes.Broken, "heads", fakes.HEADS)
    rows = fakes.measured("reference", "broken", "two_level")
    small, full = fakes.gates(rows, "broken")
    assert small["passed"] and full == {
        "row": "gate",
        "backend": "broken",
        "passed": False,
        "reason": f"{type(fault).__name__}: {fault}",
    }
    assert fakes.backends_timed(rows) == set(NAMES)


def test_without_its_baseline_a_timing_has_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes.Broken, "heads", fakes.HEADS)
    rows = fakes.measured("broken", "two_level")
    assert fakes.backends_timed(rows) == {"two_level"} and len(fakes.gates(rows, "broken")) == 2


def test_every_backend_is_warmed_up_also_behind_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SLOW_S", 0.0)
    monkeypatch.setattr(clock, "SHORT_S", 0.0)
    fakes.measured("reference", "seen", direction="forward", repeats=1)
    assert [heads for heads, _ in fakes.Seen.calls].count(fakes.HEADS) == 2


@pytest.mark.parametrize(("about_s", "calls"), [(0.2, 1), (0.1, 1), (0.015, 1 + 2), (0.005, 1 + 4)])
def test_a_short_call_is_warmed_and_repeated_and_its_timing_is_of_one(
    about_s: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[None] = []
    monkeypatch.setattr(clock.time, "perf_counter", lambda: 3.0 * len(made))
    assert clock.Clock("cpu").steady(lambda: made.append(None), about_s) == 3.0 and len(made) == calls


def test_slow_calls_are_repeated_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SLOW_S", 0.0)
    monkeypatch.setattr(rounds, "SLOW_REPEATS", 2)
    assert {step for step, _ in fakes.timed(fakes.measured("reference", repeats=20))} == {0, 10}


@pytest.mark.parametrize(("structure", "basis"), BASES)
def test_gate_and_timing_compute_on_the_device_that_is_asked_for(
    structure: str, basis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meta device holds no numbers, so errors are not compared; a tensor left on the CPU stops it as on a GPU."""
    monkeypatch.setattr(gate, "_relative", lambda got, true, size: 0.0)
    monkeypatch.setattr(gate, "_size", lambda true: 1.0)
    for made in (Generation, Layer):
        monkeypatch.setattr(made, "sizes", lambda workload, truth: [1.0] * len(truth.gradients))
    rows = fakes.measured("seen", device="meta", structure=structure, basis=basis)
    assert fakes.gates(rows, "seen")[0]["passed"] and fakes.backends_timed(rows) == {"seen", "seen#2"}
    assert all(devices == {"meta"} for _, devices in fakes.Seen.calls)
    assert {heads for heads, _ in fakes.Seen.calls} == {fakes.GATE_HEADS, fakes.HEADS}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("structure", "basis"), BASES)
def test_on_a_gpu_the_numbers_agree_as_well(structure: str, basis: str) -> None:
    """What the meta device cannot show: the errors are those of kernels that a GPU computed."""
    rows = fakes.measured("seen", "auto", device="cuda", structure=structure, basis=basis)
    assert all(fakes.gates(rows, name)[0]["passed"] for name in ("seen", "auto"))
    assert all(devices == {"cuda"} for _, devices in fakes.Seen.calls)


def header(job: dict[str, Any]) -> dict[str, Any]:
    """The header of the trial, which ran with one thread for training."""
    rows: fakes.Rows = []
    assert trial.run(job, rows.append, threads=1) == "done"
    return next(row for row in rows if row["row"] == "header")


def test_a_trial_times_on_the_device_of_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(timer, "measure", lambda job, emit, device: asked.append(device))
    kind = header(fakes.job("reference"))["device"]["kind"]
    assert asked == [kind]


def test_a_record_holds_the_fingerprint_that_a_driver_asks_for() -> None:
    assert header(fakes.job("reference", threads=2))["data"] == {
        "fingerprint": fingerprint(2),
        "kind": "generated",
        "source": "random state spaces",
        "labels": [],
    }


def test_the_fingerprint_changes_with_the_threads() -> None:
    assert fingerprint(1) == fingerprint(1) != fingerprint(2)


@pytest.mark.parametrize(
    ("what", "changed"),
    [("device", {"name": "another"}), ("device", {"kind": "cuda"})]
    + [("versions", {name: "0"}) for name in ("torch", "numpy", "pykeops", "triton")],
)
def test_the_fingerprint_changes_with_the_machine(
    what: str, changed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    today, real = fingerprint(1), getattr(environment, what)
    monkeypatch.setattr(environment, what, lambda *given: {**real(*given), **changed})
    assert fingerprint(1) != today


def test_the_fingerprint_changes_with_the_harness_and_not_with_a_tool_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    today, versions = fingerprint(1), environment.versions()
    monkeypatch.setattr(environment, "versions", lambda: {**versions, "mlflow": "0", "ray": "0"})
    assert fingerprint(1) == today
    monkeypatch.setattr("harness.throughput.fingerprint.__version__", "0.0.0")
    assert fingerprint(1) != today
