"""What is said of timings, against answers computed by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from report_builder import throughput
from report_reading import only, section, spoken

from harness.report.gather import studies
from harness.report.sections.timings import timings

BASELINE = {"reference": [0.010] * 4, "reference#2": [0.010] * 4}


def test_throughput_gives_median_quartiles_and_ratio(tmp_path: Path) -> None:
    baseline = [0.010, 0.012, 0.014, 0.016, 0.018]
    throughput(tmp_path, {"reference": baseline, "reference#2": baseline, "fast": [one / 2 for one in baseline]})
    table = only(section(tmp_path, "throughput")).tables[0].data.set_index("contestant")
    time = table.loc["fast", "median ms [quartiles]"]
    assert (time.low, time.value, time.high) == pytest.approx((6.0, 7.0, 8.0))
    assert table.loc["fast", "ratio to baseline"].value == pytest.approx(2.0)
    # 8 heads times 1024 over 7 ms, in millions.
    assert table.loc["fast", "10^6 elements/s"] == pytest.approx(8 * 1024 / 7e-3 / 1e6)


def test_a_backend_that_fails_the_gate_is_reported_and_not_timed(tmp_path: Path) -> None:
    throughput(tmp_path, {"reference": [0.01] * 4}, gates={"wrong": False})
    table = only(section(tmp_path, "throughput")).tables[0].data.set_index("contestant")
    assert table.loc["wrong", "outcome"] == "failed gate"
    assert math.isnan(table.loc["wrong", "median ms [quartiles]"].value)
    assert table.loc["wrong", "error"] == 0.5


def test_an_unsupported_backend_says_why(tmp_path: Path) -> None:
    throughput(tmp_path, {"reference": [0.01] * 4}, unsupported={"keops": ["KeOps needs a compiler."]})
    table = only(section(tmp_path, "throughput")).tables[0]
    assert "keops: unsupported: KeOps needs a compiler." in table.notes


@pytest.mark.parametrize(("again", "outcome"), [(0.0104, "ok"), (0.0106, "unreliable")])
def test_a_row_whose_baselines_drift_apart_is_unreliable(tmp_path: Path, again: float, outcome: str) -> None:
    throughput(tmp_path, {"reference": [0.010] * 4, "reference#2": [again] * 4, "fast": [0.005] * 4})
    assert set(only(section(tmp_path, "throughput")).tables[0].data["outcome"]) == {outcome}


def test_the_baselines_own_ratio_is_that_of_its_two_timings(tmp_path: Path) -> None:
    throughput(tmp_path, {"reference": [0.0100] * 4, "reference#2": [0.0104] * 4})
    (row,) = timings(studies(tmp_path)[0])
    assert row.speed.value == pytest.approx(0.0100 / 0.0104)


def test_throughput_is_plotted_against_length_when_there_are_several(tmp_path: Path) -> None:
    lengths = (256, 512, 1024)
    for length in lengths:
        throughput(tmp_path, {"reference": [0.01] * 4}, length=length, lengths=lengths)
    assert len(only(section(tmp_path, "throughput")).figures) == 1


def test_the_fastest_backend_is_one_that_is_shown_to_be_faster(tmp_path: Path) -> None:
    throughput(tmp_path, {**BASELINE, "slow": [0.020] * 4, "fast": [0.005] * 4})
    assert only(section(tmp_path, "verdict")).headline.startswith("Fastest: fast, 2.00 [2.00, 2.00] times as fast")


@pytest.mark.parametrize(("seconds", "again"), [(0.020, 0.010), (0.005, 0.011)], ids=["slower", "unreliable"])
def test_no_backend_is_fastest_that_is_slower_or_on_a_machine_that_drifted(
    tmp_path: Path, seconds: float, again: float
) -> None:
    throughput(tmp_path, {**BASELINE, "reference#2": [again] * 4, "rival": [seconds] * 4})
    part = only(section(tmp_path, "verdict"))
    assert part.headline == "No backend is shown to be faster than reference."
    assert "faster in 0" in spoken(part)


def test_a_backend_that_raised_says_what_it_raised(tmp_path: Path) -> None:
    throughput(tmp_path, BASELINE, raised={"compiled": "RuntimeError: no compiler\n  was found."})
    table = only(section(tmp_path, "throughput")).tables[0]
    assert "compiled: raised an error: RuntimeError: no compiler was found, so it was not timed." in table.notes
    assert table.data.set_index("contestant").loc["compiled", "outcome"] == "raised an error"
    said = spoken(only(section(tmp_path, "verdict")))
    assert "Raised an error before it could be timed in at least one arm: compiled." in said
    assert "correctness gate" not in said


def test_the_caption_lists_every_dtype_thread_count_and_baseline(tmp_path: Path) -> None:
    throughput(tmp_path, BASELINE, length=256, lengths=(256, 512))
    other = {"keops": [0.01] * 4, "keops#2": [0.01] * 4}
    throughput(tmp_path, other, length=512, lengths=(256, 512), dtype="float64", threads=2)
    caption = only(section(tmp_path, "throughput")).tables[0].caption
    assert "float32 and float64, 1 and 2 threads, baseline reference and keops" in caption


SHARES = {"forward_share/kernel": 0.1, "forward_share/linear": 0.2, "backward_share/linear": 0.5}
SHARES |= {"forward_share/data": 0.05, "backward_share/other": 0.15}


def test_the_parts_of_a_step_are_shown_with_its_rate_and_sum_to_one(tmp_path: Path) -> None:
    parts = {f"auto/{name}": share for name, share in SHARES.items()}
    step = {"name": "recipe", "direction": "both", "batch": 8, "run": {"auto/profiled_s": 2.2}, "parts": parts}
    throughput(tmp_path, {"auto": [2.0] * 4, "auto#2": [2.0] * 4}, **step)
    table = next(one for one in only(section(tmp_path, "throughput")).tables if one.name.endswith("-parts"))
    data = table.data.set_index("pass")
    assert data.loc["all", ["kernel", "linear", "data", "other"]].tolist() == pytest.approx([0.1, 0.7, 0.05, 0.15])
    assert data["sum"].tolist() == pytest.approx([1.0, 0.35, 0.65]) and "compiled" not in data
    assert data.loc["all", "sequences/s"] == 4.0
    said = only(section(tmp_path, "verdict"))
    assert said.headline.startswith("Kernel, convolution and linear layers take 80.0 %")


def test_rates_of_several_devices_are_never_in_one_sentence(tmp_path: Path) -> None:
    parts = {f"auto/{name}": share for name, share in SHARES.items()}
    step = {"name": "recipe", "direction": "both", "batch": 8, "run": {"auto/profiled_s": 2.2}, "parts": parts}
    throughput(tmp_path, {"auto": [2.0] * 4}, length=256, lengths=(256, 512), **step)
    folder = throughput(tmp_path, {"auto": [4.0] * 4}, length=512, lengths=(256, 512), **step)
    for record in folder.glob("*.jsonl"):
        if '"length":512' in (written := record.read_text()):
            record.write_text(written.replace('"name":"a processor"', '"name":"another"'))
    said = spoken(only(section(tmp_path, "verdict")))
    assert "Sequences a second on a processor: 256 4.00. Sequences a second on another: 512 2.00. " in said
    table = next(one for one in only(section(tmp_path, "throughput")).tables if one.name.endswith("-parts"))
    assert list(table.data.loc[table.data["pass"] == "all", "device"]) == ["a processor", "another"]


@pytest.mark.parametrize(("norm", "accumulate", "told"), [("batch", 4, True), ("batch", 1, False), ("layer", 4, False)])
def test_a_step_in_micro_batches_with_batch_statistics_says_so(
    norm: str, accumulate: int, told: bool, tmp_path: Path
) -> None:
    timing = {"name": "recipe", "architecture": {"norm": norm}, "accumulate": accumulate, "batch": 8}
    throughput(tmp_path, {"reference": [0.01] * 4}, **timing)
    said = "batch statistics of micro-batches, 4 to a batch"
    assert (said in studies(tmp_path)[0].labels) == told
    assert (f"{said}." in only(section(tmp_path, "throughput")).tables[0].notes) == told
