"""Slopes, losses, memory and the roofline of timings, against answers computed by hand."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from report_builder import throughput
from report_reading import only, section, spoken

from harness.report import style
from harness.report.gather import studies
from harness.report.sections.growth import lines, slope
from harness.report.sections.losses import losses
from harness.report.sections.timings import timings

LENGTHS = (256, 512, 1024)


def grown(results: Path, power: float, **timing: object) -> None:
    """Three lengths whose times grow as length^power, the baseline's as length."""
    for length in LENGTHS:
        base, other = 1e-5 * length, 1e-6 * length**power
        seconds = {"reference": [base] * 4, "reference#2": [base] * 4, "two_level": [other] * 4}
        throughput(results, seconds, length=length, lengths=LENGTHS, **timing)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_slope_of_a_power_is_its_exponent(power: float) -> None:
    found = slope(LENGTHS, [3.0 * x**power for x in LENGTHS])
    assert (found.value, found.low, found.high) == pytest.approx((power,) * 3, abs=1e-9)


def test_the_interval_of_a_slope_is_students() -> None:
    """y = (0, 1, 0) over x = (-1, 0, 1) in logarithms to base e: slope 0, residuals (-1, 2, -1)/3, t_1 = 12.706."""
    found = slope([math.exp(x) for x in (-1, 0, 1)], [math.exp(y) for y in (0, 1, 0)])
    half = 12.7062 * math.sqrt(6 / 9 / 1 / 2)
    assert (found.value, found.high) == pytest.approx((0.0, half), abs=1e-4)


def test_growth_is_read_from_arms_that_differ_in_one_size(tmp_path: Path) -> None:
    grown(tmp_path, 0.5)
    part = only(section(tmp_path, "throughput"))
    table = next(table for table in part.tables if table.name.endswith("-growth")).data.set_index("contestant")
    assert table.loc["two_level", "slope"].value == pytest.approx(0.5)
    assert table.loc["two_level", "slope at the end"] == pytest.approx(0.5)
    assert (table.loc["reference", "from"], table.loc["reference", "to"]) == (256, 1024)
    assert [figure.name for figure in part.figures] == ["throughput-speed-length"]


def test_arms_that_differ_in_more_than_a_size_make_no_line(tmp_path: Path) -> None:
    for length, dtype in zip(LENGTHS, ("float32", "float64", "float32"), strict=True):
        throughput(tmp_path, {"reference": [0.01] * 4}, length=length, lengths=LENGTHS, dtype=dtype)
    assert not lines(timings(studies(tmp_path)[0]))


def test_where_a_rival_is_faster_than_ours_it_is_said(tmp_path: Path) -> None:
    for length, ours in zip(LENGTHS, (0.02, 0.01, 0.005), strict=True):
        seconds = {"reference": [0.1] * 4, "keops": [0.01] * 4, "two_level": [ours] * 4}
        throughput(tmp_path, seconds, length=length, lengths=LENGTHS)
    (said,) = losses(timings(studies(tmp_path)[0]))
    assert said == "We lose at 1 of 3 shapes: keops is 2.00 [2.00, 2.00] times as fast as two_level (256, forward)."
    assert said in spoken(only(section(tmp_path, "verdict")))


def test_without_a_loss_that_is_said_and_without_rivals_nothing(tmp_path: Path) -> None:
    throughput(tmp_path / "a", {"reference": [0.1] * 4, "two_level + fft": [0.01] * 4, "given + fft": [0.001] * 4})
    assert losses(timings(studies(tmp_path / "a")[0])) == [
        "In none of 1 shape is a rival shown to be faster than the fastest of ours."
    ]
    throughput(tmp_path / "b", {"krylov": [0.1] * 4, "two_level": [0.01] * 4})
    assert not losses(timings(studies(tmp_path / "b")[0]))


def test_each_of_ours_is_compared_with_each_rival_of_its_shape(tmp_path: Path) -> None:
    seconds = {"reference": [0.1] * 4, "keops": [0.05] * 4, "two_level": [0.01] * 4, "auto": [0.02] * 4}
    throughput(tmp_path, seconds, length=256, lengths=(256, 512))
    throughput(tmp_path, {"reference": [0.1] * 4, "two_level": [0.05] * 4}, length=512, lengths=(256, 512))
    table = only(section(tmp_path, "throughput")).tables[0]
    assert table.name == "throughput-speed-leads"
    rows = table.data.set_index(["length", "ours"])
    assert [rows.loc[at, "over reference"].value for at in rows.index] == pytest.approx([10.0, 5.0, 2.0])
    assert rows.loc[(256, "two_level"), "over keops"].value == pytest.approx(5.0)
    assert table.formats["over keops"](rows.loc[(512, "two_level"), "over keops"]) == "–"


def test_without_a_rival_there_is_no_table_of_leads(tmp_path: Path) -> None:
    throughput(tmp_path, {"krylov": [0.1] * 4, "two_level": [0.01] * 4})
    assert [table.name for table in only(section(tmp_path, "throughput")).tables] == ["throughput-speed"]


def test_the_legend_of_a_growth_figure_has_every_contestant_once(tmp_path: Path) -> None:
    structures = {"dplr": {}, "diagonal": {"keops": [0.2] * 4}}
    levels = {"case": [f"{structure} {length}" for structure in structures for length in LENGTHS]}
    for (structure, others), length in itertools.product(structures.items(), LENGTHS):
        seconds = {"reference": [0.1] * 4, "two_level": [0.01] * 4, **others}
        arm = {"case": f"{structure} {length}"}
        throughput(tmp_path, seconds, length=length, arm=arm, levels=levels, structure=structure)
    (figure,) = only(section(tmp_path, "throughput")).figures
    drawing = style.svg(figure)
    assert all(drawing.count(f">{name}<") == 1 for name in ("reference", "two_level", "keops"))


def test_a_kernel_that_is_given_is_not_the_fastest(tmp_path: Path) -> None:
    seconds = {"reference + fft": [0.1] * 4, "reference + fft#2": [0.1] * 4}
    throughput(tmp_path, {**seconds, "two_level + fft": [0.01] * 4, "given + fft": [0.001] * 4}, name="layer")
    assert only(section(tmp_path, "verdict")).headline.startswith("Fastest: two_level + fft, 10.0")


def test_memory_and_rates_are_shown_where_they_were_measured(tmp_path: Path) -> None:
    run = {"reference/forward_peak_bytes": 2**24, "two_level/forward_peak_bytes": 2**20}
    run |= {"work/forward_flops": 2e6, "work/forward_bytes": 1e6}
    run |= {"ceiling/gemm_flops_per_s": 1e9, "ceiling/copy_bytes_per_s": 1e9}
    throughput(tmp_path, {"reference": [0.1] * 4, "two_level": [0.01] * 4}, run=run)
    _, times, roofline = only(section(tmp_path, "throughput")).tables
    row = times.data.set_index("contestant").loc["two_level"]
    assert (row["peak MiB"], row["memory ratio"]) == (1.0, 16.0)
    row = roofline.data.set_index("contestant").loc["two_level"]
    # 2e6 flops in 10 ms are 0.2 GFLOP/s of 1; the roofline allows max(2 ms, 1 ms) of 10 ms.
    assert (row["GFLOP/s"], row["of product"], row["of copy"], row["of roofline"]) == pytest.approx(
        (0.2, 0.2, 0.1, 0.2)
    )


def test_a_record_without_them_has_no_empty_columns(tmp_path: Path) -> None:
    throughput(tmp_path, {"reference": [0.1] * 4})
    (times,) = only(section(tmp_path, "throughput")).tables
    assert "peak MiB" not in times.data.columns


def test_what_was_left_out_of_one_direction_is_timed_in_the_other(tmp_path: Path) -> None:
    reason = "A call at 8 heads is predicted to take 70 s, scaled from 4 heads and more; timer.budget_s allows 60 s."
    throughput(tmp_path, {"reference": [0.1] * 4}, left_out={("reference", "both"): reason}, direction="both")
    table = only(section(tmp_path, "throughput")).tables[0]
    assert list(table.data["outcome"]) == ["ok", "left out"] and f"reference: left out: {reason}" in table.notes
    assert "Left out in at least one arm" in spoken(only(section(tmp_path, "verdict")))


def test_a_slow_rival_is_paired_with_the_rounds_that_it_has(tmp_path: Path) -> None:
    """The baseline drifts by a factor over the rounds; only the rounds 0 and 2 have both."""
    throughput(tmp_path, {"reference": [1.0, 5.0, 3.0, 5.0], "slow": {0: 2.0, 2: 6.0}})
    row = timings(studies(tmp_path)[0])[1]
    assert row.speed.value == pytest.approx(0.5) and len(row.samples) == 2


def test_cases_of_one_file_are_one_study(tmp_path: Path) -> None:
    """Arms whose structure differs belong together where a case set it."""
    for case, structure in (("a", "diagonal"), ("b", "dplr")):
        seconds = {"reference": [0.1] * 4}
        throughput(tmp_path, seconds, arm={"case": case}, levels={"case": ["a", "b"]}, structure=structure)
    (study,) = studies(tmp_path)
    assert study.set_aside == 0
    names = [table.name for table in only(section(tmp_path, "throughput")).tables]
    assert names == ["throughput-speed-kernel-diagonal", "throughput-speed-kernel-dplr"]
