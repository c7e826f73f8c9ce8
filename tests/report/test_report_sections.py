"""What each section says, against answers computed by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_builder import DELAY, LISTOPS, equivalence, sweep, throughput, trial
from report_reading import evidence, only, section, spoken

from harness.errors import UsageError
from harness.registry import lookup, summary
from harness.report import SECTIONS, published
from harness.report.build import sections
from harness.report.evidence import Evidence
from harness.report.gather import studies
from harness.report.sections.lra import column
from harness.report.sections.lra_averages import TASKS
from harness.report.statistics import Estimate

PUBLISHED = published.lra([])


def rmse(arm: Mapping[str, str], seed: int) -> float:
    """legt - legs at dt 0.008 is -0.2 + (-0.01, 0, 0.01) by seed."""
    sharp = arm["dt"] == "0.008" and arm["basis"] == "legt"
    return 0.4 + 0.05 * seed - (0.2 - 0.01 * (seed - 1) if sharp else 0.0)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_says_what_it_is(name: str) -> None:
    assert summary(lookup("report section", SECTIONS, name)).endswith(".")


def test_verdict_pairs_the_primary_contrast_by_seed(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, primary="dt[1]: legt - legs")
    part = only(section(tmp_path, "verdict"))
    # d = -0.21, -0.20, -0.19: mean -0.2, s = 0.01, half-width 4.3027 * 0.01 / sqrt(3) = 0.0248.
    assert part.headline == "Delay: legt is better than legs at dt 0.008."
    assert "legt minus legs in rmse at dt 0.008 is -0.200 (95 % interval -0.225 to -0.175, 3 paired seeds" in spoken(
        part
    )
    assert "lower is better" in spoken(part)


def test_verdict_averages_over_the_axes_that_the_contrast_leaves_open(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, primary="legt - legs")
    assert "legt minus legs in rmse is -0.100" in spoken(only(section(tmp_path, "verdict")))


def test_verdict_knows_that_higher_accuracy_is_better(tmp_path: Path) -> None:
    sweep(
        tmp_path,
        lambda arm, seed: 0.5 + 0.1 * (arm["basis"] == "fout") + 0.01 * seed,
        task=LISTOPS,
        primary="legs - fout",
    )
    part = only(section(tmp_path, "verdict"))
    assert part.headline == "ListOps: fout is better than legs."
    assert "is -10.0 points" in spoken(part)


def test_verdict_quotes_question_and_prediction(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, primary="legt - legs")
    assert only(section(tmp_path, "verdict")).quotes == (
        ("Question", "Which basis keeps a delayed signal longest?"),
        ("Prediction", "LegT wins where the window matches the lag."),
    )


def test_verdict_cannot_tell_when_the_interval_covers_zero(tmp_path: Path) -> None:
    noise = {
        ("legs", 0): 0.0,
        ("legs", 1): 0.1,
        ("legs", 2): 0.0,
        ("legt", 0): 0.1,
        ("legt", 1): 0.0,
        ("legt", 2): 0.05,
    }
    sweep(tmp_path, lambda arm, seed: 0.5 + noise.get((arm["basis"], seed), 0.0), primary="legt - legs")
    part = only(section(tmp_path, "verdict"))
    assert part.headline == "Delay: cannot tell legt from legs."
    assert "The interval covers 0" in spoken(part)


def test_verdict_of_one_seed_cannot_tell_and_gives_no_interval(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, seeds=1, primary="legt - legs")
    said = spoken(only(section(tmp_path, "verdict")))
    assert "cannot tell. One seed has no interval." in said
    assert "95 %" not in said


@pytest.mark.parametrize(("seeds", "printed"), [(5, False), (6, True)])
def test_verdict_prints_a_p_only_from_six_pairs(tmp_path: Path, seeds: int, printed: bool) -> None:
    sweep(tmp_path, rmse, seeds=seeds, levels={"basis": ["legs", "legt"], "dt": ["0.008"]}, primary="legt - legs")
    said = spoken(only(section(tmp_path, "verdict")))
    assert ("p = 0.0312" in said) == printed


def test_verdict_leaves_a_failed_seed_out_of_the_pairs_and_counts_it(tmp_path: Path) -> None:
    about = {"primary": "dt[1]: legt - legs"}
    sweep(tmp_path, rmse, **about)
    trial(tmp_path, 0.0, status="diverged", arm={"basis": "legt", "dt": "0.008"}, seed=2, **about)
    said = spoken(only(section(tmp_path, "verdict")))
    assert "2 paired seeds" in said
    assert "17 of 18 planned trials done." in said


def test_verdict_without_a_primary_contrast_says_so(tmp_path: Path) -> None:
    sweep(tmp_path, rmse)
    part = only(section(tmp_path, "verdict"))
    assert part.headline.startswith("No verdict: the file names no primary contrast")
    assert "the best mean rmse is 0.250, by legt · 0.008" in spoken(part)


def test_verdict_of_only_failures_cannot_tell(tmp_path: Path) -> None:
    trial(tmp_path, 0.0, status="error", reason="boom", primary="legt - legs")
    assert only(section(tmp_path, "verdict")).headline == "Cannot tell: no trial is done."


def test_accuracy_table_has_mean_and_t_interval_in_percent(tmp_path: Path) -> None:
    sweep(tmp_path, lambda arm, seed: 0.4 + 0.01 * seed, task=LISTOPS, levels={"basis": ["legs"]})
    cell = only(section(tmp_path, "lra")).tables[0].data["ListOps"][0]
    # 40, 41, 42: mean 41, s = 1.
    assert (cell.value, cell.n) == (pytest.approx(41.0), 3)
    assert cell.half_width == pytest.approx(4.302652729749464 / math.sqrt(3), rel=1e-9)


def test_accuracy_table_ends_with_the_references(tmp_path: Path) -> None:
    sweep(tmp_path, lambda arm, seed: 0.4, task=LISTOPS, levels={"basis": ["legs"]})
    table = only(section(tmp_path, "lra")).tables[0].data.set_index("basis")
    assert table.loc["reference: chance", "ListOps"] == pytest.approx(10.0)


def test_labels_of_file_and_data_stand_at_the_accuracy_table(tmp_path: Path) -> None:
    sweep(
        tmp_path, lambda arm, seed: 0.4, task=LISTOPS, levels={"basis": ["legs"]}, labels=["shortened", "small model"]
    )
    notes = " ".join(only(section(tmp_path, "lra")).tables[0].notes)
    assert "shortened" in notes
    assert "small model" in notes


@pytest.mark.parametrize(
    ("title", "name"), [("LRA Image", "Image"), ("PathX", "Path-X"), ("listops", "ListOps"), ("Own", "Own")]
)
def test_a_task_title_finds_its_column(title: str, name: str) -> None:
    assert column(title) == name


def test_published_rows_carry_a_printable_tag_a_key_and_a_source() -> None:
    assert set(PUBLISHED["tag"]) == {"V", "V2"}
    assert (PUBLISHED["key"] != "").all()
    assert (PUBLISHED["source"] != "").all()


@pytest.mark.parametrize("place", range(len(PUBLISHED)))
def test_a_published_average_is_the_mean_of_its_row(place: int) -> None:
    row = PUBLISHED.iloc[place]
    entries = [50.0 if row[task] == "✗" else float(row[task]) for task in TASKS if row[task]]
    assert len(entries) < 6 or float(row["average"]) == pytest.approx(sum(entries) / 6, abs=0.00501)


def test_published_rows_stand_apart_with_their_warning(tmp_path: Path) -> None:
    sweep(tmp_path, lambda arm, seed: 0.4, task=LISTOPS, levels={"basis": ["legs"]})
    built = lookup("report section", SECTIONS, "lra")().build(Evidence(studies(tmp_path), PUBLISHED))
    part = built.parts[-1]
    assert "not comparable" in part.sentences[0]
    assert sum(len(table.data) for table in part.tables) == len(PUBLISHED)


def test_delay_table_is_basis_by_dt(tmp_path: Path) -> None:
    sweep(tmp_path, rmse)
    table = only(section(tmp_path, "delay")).tables[0].data.set_index("basis")
    assert table.loc["legt", "dt 0.008"].value == pytest.approx(0.25)
    assert table.loc["legt", "dt 0.001..0.1"].value == pytest.approx(0.45)


def test_windows_stand_beside_length_and_lag(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, seeds=1)
    table = only(section(tmp_path, "delay")).tables[1].data.set_index(["basis", "dt"])
    row = table.loc[("legs", "0.008")]
    assert (row["length"], row["lag"], row["window q50 at start"]) == (256, 64, 250.0)


@pytest.mark.parametrize(("task", "name"), [(DELAY, "delay"), (LISTOPS, "lra")])
def test_references_of_two_lags_are_two_notes_and_no_mean(tmp_path: Path, task: Mapping[str, Any], name: str) -> None:
    zero = {"16": 0.6, "64": 0.3}
    levels = {"task.lag": list(zero)}
    for lag, score in zero.items():
        trial(tmp_path, 0.2, references={"zero": score}, task=task, levels=levels, arm={"task.lag": lag})
    table = only(section(tmp_path, name)).tables[0]
    factor, digits = (100, 1) if name == "lra" else (1, 3)
    notes = [note for note in table.notes if "Reference" in note]
    said = [f"Reference, no model, at task.lag {lag}: zero {factor * score:.{digits}f}." for lag, score in zero.items()]
    assert [note.removeprefix("ListOps: ") for note in notes] == said
    assert not any("reference" in str(cell) for cell in table.data.iloc[:, 0])


def test_lines_of_references_are_drawn_only_where_they_hold_for_every_point(tmp_path: Path) -> None:
    for lag in ("16", "64"):
        trial(tmp_path / "two", 0.2, levels={"task.lag": ["16", "64"]}, arm={"task.lag": lag})
    trial(tmp_path / "one", 0.2)
    captions = [only(section(tmp_path / which, "delay")).figures[0].caption for which in ("one", "two")]
    assert ["dashed lines" in caption for caption in captions] == [True, False]


def test_the_text_of_a_figure_names_dt_only_where_it_is_an_axis(tmp_path: Path) -> None:
    sweep(tmp_path / "without", lambda arm, seed: 0.3, levels={"basis": ["legs", "legt"]})
    sweep(tmp_path / "with", rmse, seeds=1)
    without, with_dt = (only(section(tmp_path / which, "delay")).figures[0].alt for which in ("without", "with"))
    assert without == "Delay: rmse of 2 arms. The best mean is 0.300, by legs."
    assert "3 arms at 2 settings of dt. The best mean is 0.190, by legt at dt 0.008." in with_dt


def test_two_lags_of_one_task_are_two_rows(tmp_path: Path) -> None:
    sweep(tmp_path, lambda arm, seed: float(arm["task"]), levels={"task": ["1", "2"], "dt": ["0.008"]})
    table = only(section(tmp_path, "delay")).tables[0].data.set_index("task")
    assert [table.loc[label, "dt 0.008"].value for label in ("1", "2")] == [1.0, 2.0]


@pytest.mark.parametrize(("away", "verdict"), [(9e-4, "agree"), (1.1e-3, "do not agree")])
def test_equivalence_holds_the_largest_relative_difference_against_the_tolerance(
    tmp_path: Path, away: float, verdict: str
) -> None:
    equivalence(tmp_path, away, tolerance=1e-3)
    row = only(section(tmp_path, "equivalence")).tables[0].data.iloc[0]
    # The loss is 1/3 (1 + away): rounding of three divisions is below 1e-15, relative to away below 1e-11.
    assert row["largest relative difference"] == pytest.approx(away, rel=1e-11)
    assert row["verdict"] == verdict


def test_equivalence_with_one_backend_missing_is_not_called_agreement(tmp_path: Path) -> None:
    folder = equivalence(tmp_path, 0.0)
    for path in folder.glob("*.jsonl"):
        if '"arm":{"backend":"b"}' in path.read_text():
            path.unlink()
    assert only(section(tmp_path, "verdict")).headline.startswith("Cannot tell")


def test_equivalence_of_a_loss_that_is_not_finite_is_no_agreement(tmp_path: Path) -> None:
    equivalence(tmp_path, math.nan)
    assert only(section(tmp_path, "equivalence")).tables[0].data.iloc[0]["verdict"] == "do not agree"


def test_a_learning_curve_is_the_mean_with_a_band_from_lowest_to_highest(tmp_path: Path) -> None:
    from harness.report.sections.training import curve

    sweep(tmp_path, lambda arm, seed: 1.0 + seed, levels={"basis": ["legs"]})
    drawn = curve(list(studies(tmp_path)[0].trials), "rmse", 1.0)
    # At step 10 the builder writes score times 1.1: 1.1, 2.2 and 3.3.
    assert drawn.loc[10].tolist() == pytest.approx([2.2, 1.1, 3.3])


def test_failures_list_every_trial_that_is_not_done_with_its_reason(tmp_path: Path) -> None:
    sweep(tmp_path, rmse)
    trial(tmp_path, 0.0, status="timeout", reason="ran past 10 minutes", seed=1)
    found = section(tmp_path, "failures")
    table = only(found).tables[0].data
    assert table[["status", "reason", "seed"]].values.tolist() == [["timeout", "ran past 10 minutes", 1]]
    assert found.sentences[0] == "18 trials: 17 done, 1 timeout."


def test_planned_trials_without_a_record_are_counted(tmp_path: Path) -> None:
    trial(tmp_path, 0.5)
    assert "17 planned trials of 18 have no record yet." in spoken(only(section(tmp_path, "failures")))


def test_a_whole_sweep_has_no_failures(tmp_path: Path) -> None:
    sweep(tmp_path, rmse)
    found = section(tmp_path, "failures")
    assert found.parts == ()
    assert "Nothing failed" in found.sentences[-1]


def test_provenance_names_command_commit_versions_data_and_trials(tmp_path: Path) -> None:
    folder = sweep(tmp_path, rmse)
    facts, trials = only(section(tmp_path, "provenance")).tables
    told = dict(facts.data.values.tolist())
    assert told["Reproduce"] == "harness run ablations/study.toml"
    assert told["Commit"] == "0123abcd"
    assert "torch 2.13.0" in told["Versions"]
    assert "fingerprint abc123" in told["Data"]
    assert set(trials.data["trial"]) == {path.stem for path in folder.glob("*.jsonl")}


def test_sections_come_only_where_the_evidence_speaks(tmp_path: Path) -> None:
    throughput(tmp_path, {"reference": [0.01] * 4})
    titles = [found.title for found in sections(evidence(tmp_path))]
    assert titles == ["Verdict", "Throughput", "The bases", "Failures", "Method and provenance"]


def test_an_estimate_of_nothing_is_not_a_number() -> None:
    assert not Estimate(math.nan, math.nan, math.nan, 0).has_interval


def test_a_folder_of_unreadable_records_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "abc.jsonl").write_text("no json\n")
    with pytest.raises(UsageError, match="No record has a readable header"):
        studies(tmp_path)


def test_the_published_file_is_found_beside_the_results(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    rows = pd.DataFrame([{"key": "a", "model": "m", "tag": "V"}, {"key": "b", "model": "m", "tag": "M"}])
    rows.to_csv(tmp_path / "published" / "lra.csv", index=False)
    assert published.lra([tmp_path / "study"])["key"].tolist() == ["a"]


PATHFINDER = {**LISTOPS, "name": "pathfinder", "title": "Pathfinder"}


def escaped(results: Path, *steps: int, **about: Any) -> None:
    """Trials of one arm, of which those with a step escaped chance there."""
    for seed, step in enumerate(steps):
        run = {"escaped_chance": float(step > 0)} | ({"escape_epoch": step / 4, "escape_s": 2.0 * step} if step else {})
        trial(results, 0.9 if step else 0.5, run=run, seed=seed, levels={"basis": ["legs"]}, repeats=3, **about)


def test_a_bimodal_task_has_its_solve_rate_beside_the_accuracy(tmp_path: Path) -> None:
    escaped(tmp_path, 20, 0, 40, task=PATHFINDER)
    table = only(section(tmp_path, "lra")).tables[0]
    assert list(table.data.columns)[:3] == ["basis", "Pathfinder", "Pathfinder solved"]
    assert table.data["Pathfinder solved"][0] == "2 of 3"
    assert any("three of a guess's standard errors" in note for note in table.notes)


@pytest.mark.parametrize("task", [LISTOPS, PATHFINDER])
def test_a_solve_rate_is_shown_only_where_records_speak_of_it(task: dict[str, Any], tmp_path: Path) -> None:
    escaped(tmp_path, 20, 0, task=LISTOPS)
    if task is PATHFINDER:
        sweep(tmp_path / "old", lambda arm, seed: 0.5, task=PATHFINDER, levels={"basis": ["legs"]})
    columns = only(section(tmp_path / "old" if task is PATHFINDER else tmp_path, "lra")).tables[0].data.columns
    assert not any("solved" in name for name in columns)


def test_the_cost_table_says_when_chance_was_left_behind(tmp_path: Path) -> None:
    escaped(tmp_path, 20, 0, 40, task=PATHFINDER)
    row = section(tmp_path, "training").parts[0].tables[0].data.iloc[0]
    assert (row["above chance from epoch"], row["above chance after s"]) == (7.5, 60)


def test_labels_of_a_trial_s_parts_are_told(tmp_path: Path) -> None:
    folder = trial(tmp_path, 0.5, task=LISTOPS, levels={"basis": ["legs"]})
    (path,) = folder.glob("*.jsonl")
    head, _, rest = path.read_text().partition("\n")
    path.write_text(json.dumps(json.loads(head) | {"labels": ["linear layers in bfloat16"]}) + "\n" + rest)
    assert any("bfloat16" in note for note in only(section(tmp_path, "lra")).tables[0].notes)
