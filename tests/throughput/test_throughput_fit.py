"""What would not fit is left out before it runs; what fits has the peak memory of a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import throughput_fakes as fakes

from harness.throughput import predict
from harness.throughput.meter import Ended, Meter, Unmeasured


def left_out(rows: fakes.Rows) -> list[tuple[str, str]]:
    return [(row["backend"], row["direction"]) for row in rows if row["row"] == "left_out"]


def peaks(rows: fakes.Rows) -> dict[str, float]:
    return {row["name"]: row["value"] for row in rows if row.get("name", "").endswith("_peak_bytes")}


def test_a_slow_contestant_is_left_out_of_the_direction_that_is_over_the_budget() -> None:
    """3 heads take 30 ms forward and 120 ms with gradients, so 75 ms lie well between, on a crowded machine, too."""
    rows = fakes.measured("reference", "sleepy(ms=10)", budget_s=0.075)
    assert left_out(rows) == [("sleepy(ms=10)", "both")]
    assert {name for _, name in fakes.timed(rows) if name.startswith("sleepy")} == {"sleepy(ms=10)/forward_s"}
    (reason,) = [row["reason"] for row in rows if row["row"] == "left_out"]
    told = re.fullmatch(r"A call at 3 heads is predicted to take (\S+) s, .* timer.budget_s allows 0.075 s\.", reason)
    # At least what it sleeps; how much longer is the machine's affair.
    assert told and 0.1 <= float(told[1]) < 0.5


def test_a_baseline_that_is_left_out_leaves_the_others_timed() -> None:
    rows = fakes.measured("sleepy", "reference", budget_s=0.004)
    assert left_out(rows) == [("sleepy", "forward"), ("sleepy", "both")] and fakes.backends_timed(rows) == {"reference"}


def test_full_size_never_runs_where_it_is_predicted_not_to_fit() -> None:
    rows = fakes.measured("reference", "seen", budget_s=1e-9)
    assert ("seen", "forward") in left_out(rows)
    assert {heads for heads, _ in fakes.Seen.calls} == {fakes.GATE_HEADS}


def test_fixed_costs_are_not_scaled_with_the_heads() -> None:
    """A second in every call and none in the heads: with 4 heads the bound is 64 s, with 64 it is 4 s."""
    asked: list[int] = []

    def seconds(heads: int) -> float:
        asked.append(heads)
        return 1.0

    assert predict.predicted_s(seconds, 4, 256, budget_s=5.0) == 4.0
    assert asked == [4, 4, 16, 16, 64, 64]


def test_more_heads_are_not_tried_beyond_the_budget() -> None:
    asked: list[int] = []

    def seconds(heads: int) -> float:
        asked.append(heads)
        return float(heads)

    assert predict.predicted_s(seconds, 4, 256, budget_s=8.0) == 256.0
    assert set(asked) == {4}


def test_memory_that_does_not_fit_or_ends_its_process_leaves_a_contestant_out() -> None:
    rows = fakes.measured("reference", "hungry", "killed", memory=True, budget_gib=0.09)
    out = [(name, direction) for name in ("hungry", "killed") for direction in ("forward", "both")]
    assert left_out(rows) == out and fakes.backends_timed(rows) == {"reference", "reference#2"}
    assert set(peaks(rows)) == {"reference/forward_peak_bytes", "reference/both_peak_bytes"}
    hungry, _, killed, _ = [row["reason"] for row in rows if row["row"] == "left_out"]
    # 64 MiB at 2 heads are 96 MiB = 0.094 GiB at 3, scaled as if they grew.
    assert "predicted to need 0.09" in hungry and "timer.budget_gib allows 0.09 GiB" in hungry
    assert "ended by SIGKILL" in killed


@pytest.fixture(scope="module")
def meter() -> Iterator[Meter]:
    """One server for the tests below; each of their questions has a process of its own."""
    with pytest.MonkeyPatch.context() as patched:
        fakes.register(patched)
        spec: dict[str, Any] = fakes.job("hungry")["spec"]
        with Meter(spec, "cpu") as asked:
            yield asked


@pytest.mark.parametrize("mib", [48, 256])
def test_the_peak_of_a_known_allocation_is_within_a_tenth(mib: int, meter: Meter) -> None:
    assert meter.peak_bytes(f"hungry(mib={mib})", "forward") / 2**20 == pytest.approx(mib, rel=0.1)


def test_measurements_do_not_see_each_other(meter: Meter) -> None:
    large, first, second = (meter.peak_bytes(f"hungry(mib={mib})", "forward") for mib in (256, 32, 32))
    assert large > 4 * first and first == pytest.approx(second, rel=0.1)


def test_a_call_that_raises_says_what_and_one_that_is_killed_how(meter: Meter) -> None:
    with pytest.raises(Unmeasured, match="RuntimeError: out of memory"):
        meter.peak_bytes("broken", "forward")
    with pytest.raises(Ended, match="ended by SIGKILL"):
        meter.peak_bytes("killed", "forward")
