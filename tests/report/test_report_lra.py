"""The arena's table: tasks as columns, whether an axis or a case chooses them, and both averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_builder import LISTOPS, trial
from report_reading import only, section

from harness.report.gather import studies
from harness.report.section import Table, number
from harness.report.sections.lra_averages import TASKS, WITHOUT_PATH_X, published_without_path_x

BASES = ["legs", "fout"]
ERROR = "accuracy_standard_error"


def write(
    results: Path,
    score: Callable[[str, str, int], float],
    tasks: Sequence[str] = TASKS,
    seeds: int = 3,
    escaped: bool | None = False,
    **about: Any,
) -> None:
    """One study over tasks and bases; `score` takes task, basis and seed. Path-X says whether it escaped chance."""
    levels = {"task": list(tasks), "basis": BASES}
    for title in tasks:
        run = {"escaped_chance": float(escaped)} if title == "Path-X" and escaped is not None else {}
        for basis in BASES:
            for seed in range(seeds):
                arm = {"task": title, "basis": basis}
                about_trial = {"levels": levels, "arm": arm, "task": {**LISTOPS, "title": title}, "run": run, **about}
                trial(results, score(title, basis, seed), seed=seed, repeats=seeds, **about_trial)


def table(results: Path) -> Table:
    return only(section(results, "lra")).tables[0]


def row(results: Path, basis: str = "legs") -> Mapping[str, Any]:
    return dict(table(results).data.set_index("basis").loc[basis])


def ladder(task: str, basis: str, seed: int) -> float:
    """.5 for ListOps to .75 for Path-X, a hundredth more for each seed."""
    return 0.5 + 0.05 * TASKS.index(task) + 0.01 * seed


@pytest.mark.parametrize("cases", [None, ["task", "training"]])
def test_tasks_are_columns_whether_an_axis_or_cases_choose_them(cases: list[str] | None, tmp_path: Path) -> None:
    write(tmp_path, ladder, seeds=1)
    if cases:
        for path in (tmp_path / "study").glob("*.jsonl"):
            as_cases = path.read_text().replace('"arm":{"task":', '"arm":{"case":').replace('["task",', '["case",')
            path.write_text(as_cases.replace('"levels":{"task":', '"cases":["task","training"],"levels":{"case":'))
    found = table(tmp_path).data
    assert studies(tmp_path / "study")[0].axes[0] == ("case" if cases else "task")
    assert list(found["basis"][:2]) == BASES
    assert [name for name in found.columns if name in TASKS] == list(TASKS)


def test_cases_that_choose_the_basis_as_well_stay_rows(tmp_path: Path) -> None:
    levels = {"case": ["a", "b"]}
    for label, title in zip(levels["case"], ("ListOps", "Text"), strict=True):
        about = {"levels": levels, "arm": {"case": label}, "task": {**LISTOPS, "title": title}}
        trial(tmp_path, 0.5, cases=["basis", "task"], **about)
    assert list(table(tmp_path).data["case"][:2]) == ["a", "b"]


@pytest.mark.parametrize("escaped", [True, None])
def test_both_averages_are_means_over_tasks_with_an_interval_over_seeds(escaped: bool | None, tmp_path: Path) -> None:
    write(tmp_path, ladder, escaped=escaped)
    found = row(tmp_path)
    # A seed adds a point to every task: the averages are m, m + 1, m + 2, whose mean is m + 1 and s = 1.
    for name, first in (("Average of 6", 62.5), ("Average of 5", 60.0)):
        assert (found[name].value, found[name].n) == (pytest.approx(first + 1), 3)
        assert found[name].half_width == pytest.approx(4.302652729749464 / math.sqrt(3), rel=1e-9)


def test_a_failed_path_x_counts_as_50_in_the_average_of_6_alone(tmp_path: Path) -> None:
    write(tmp_path, lambda task, basis, seed: 0.45 if task == "Path-X" else 0.8)
    found = row(tmp_path)
    assert found["Path-X"].value == pytest.approx(45.0)
    assert found["Average of 6"].value == pytest.approx((5 * 80 + 50) / 6)
    assert found["Average of 5"].value == pytest.approx(80.0)
    assert any("counts as 50" in note and "6 of 6 runs did" in note for note in table(tmp_path).notes)


def test_an_old_record_that_does_not_say_counts_as_it_is_and_the_table_says_so(tmp_path: Path) -> None:
    write(tmp_path, lambda task, basis, seed: 0.45 if task == "Path-X" else 0.8, escaped=None, seeds=1)
    assert row(tmp_path)["Average of 6"].value == pytest.approx((5 * 80 + 45) / 6)
    assert any("2 do not say and count as they are" in note for note in table(tmp_path).notes)


@pytest.mark.parametrize("missing", TASKS)
def test_an_average_stands_only_where_the_table_has_its_tasks(missing: str, tmp_path: Path) -> None:
    write(tmp_path, ladder, [task for task in TASKS if task != missing])
    averages = [name for name in table(tmp_path).data.columns if name.startswith("Average")]
    assert averages == (["Average of 5"] if missing == "Path-X" else [])


def test_an_average_is_of_the_seeds_that_have_every_task(tmp_path: Path) -> None:
    write(tmp_path, ladder)
    levels = {"task": list(TASKS), "basis": BASES}
    arm, task = {"task": "Text", "basis": "legs"}, {**LISTOPS, "title": "Text"}
    for seed in (0, 1):
        trial(tmp_path, 0.0, status="diverged", seed=seed, levels=levels, arm=arm, task=task)
    assert [row(tmp_path, basis)["Average of 5"].n for basis in BASES] == [1, 3]
    assert row(tmp_path)["Average of 5"].value == pytest.approx(62.0)
    assert "over 1 to 3 seeds" in table(tmp_path).caption


def test_an_arm_that_lacks_a_task_has_no_average(tmp_path: Path) -> None:
    write(tmp_path, ladder, seeds=1)
    for path in (tmp_path / "study").glob("*.jsonl"):
        if '"arm":{"task":"Image","basis":"fout"}' in path.read_text():
            path.unlink()
    assert math.isnan(row(tmp_path, "fout")["Average of 6"].value)
    assert row(tmp_path)["Average of 6"].n == 1


def test_an_average_of_one_seed_says_so_instead_of_an_interval(tmp_path: Path) -> None:
    write(tmp_path, ladder, seeds=1, escaped=True)
    assert number(1)(row(tmp_path)["Average of 6"]) == "62.5 (one seed)"


@pytest.mark.parametrize(
    ("score", "error", "spec", "said"),
    [
        # 834 examples at p = .6: sqrt(.6 .4 / 834) is 1.7 points.
        (0.6, math.sqrt(0.6 * 0.4 / 834), "null", "834 test examples give each accuracy a binomial standard error"),
        (0.6, math.sqrt(0.6 * 0.4 / 834), "2000", "ListOps: 834 test examples"),
        (1.0, 0.0, "2000", "ListOps: 2,000 test examples"),
        (0.6, None, "2000", "ListOps: 2,000 test examples"),
        (1.0, 0.0, "null", None),
    ],
)
def test_the_error_of_the_test_set_is_told_by_what_the_record_has(
    score: float, error: float | None, spec: str, said: str | None, tmp_path: Path
) -> None:
    write(tmp_path, lambda *_: score, ["ListOps"], seeds=1, test={} if error is None else {ERROR: error})
    for path in (tmp_path / "study").glob("*.jsonl"):
        path.write_text(path.read_text().replace('"lag":64}', f'"lag":64,"test":{spec}}}', 1))
    notes = [note for note in table(tmp_path).notes if "binomial" in note]
    assert len(notes) == (said is not None) and all(str(said) in note for note in notes)
    assert score == 1.0 or "up to 1." in notes[0]


def test_labels_of_the_data_say_whose_they_are_where_there_are_several_tasks(tmp_path: Path) -> None:
    write(tmp_path, ladder, ["Text", "Image"], seeds=1)
    for path in (tmp_path / "study").glob("*.jsonl"):
        title = "Text" if '"title":"Text"' in path.read_text() else "Image"
        data = '"own generator","labels":['
        path.write_text(path.read_text().replace(data, f'{data}"subset of {title}"'))
    assert {"Text: subset of Text", "Image: subset of Image"} <= set(studies(tmp_path / "study")[0].labels)


def test_the_verdict_of_several_tasks_is_a_table_and_the_headline_speaks_of_all(tmp_path: Path) -> None:
    def score(task: str, basis: str, seed: int) -> float:
        better = {"Text": "legs", "Image": "fout"}.get(task)
        return 0.5 + 0.01 * seed + (0.1 + 0.01 * (seed - 1) if basis == better else 0.0)

    write(tmp_path, score, ["Text", "Image", "ListOps"], primary="fout - legs", labels=["short", "small"])
    part = only(section(tmp_path, "verdict"))
    said = "3 tasks: fout is better on Image; legs is better on Text; cannot tell fout from legs on ListOps."
    assert part.headline == said
    assert part.labels == ("short", "small")
    [contrasts] = part.tables
    rows = contrasts.data.set_index("task")
    # d = 9, 10, 11 points: mean 10, s = 1, half-width 4.3027 / sqrt(3).
    assert rows.loc["Image", "fout − legs"].value == pytest.approx(10.0)
    assert rows.loc["Image", "fout − legs"].half_width == pytest.approx(4.302652729749464 / math.sqrt(3))
    assert rows.loc["Text", "fout − legs"].value == pytest.approx(-10.0)
    assert list(rows["better"]) == ["legs", "fout", "cannot tell"]
    assert list(rows["paired seeds"]) == [3, 3, 3]


def test_published_rows_have_the_average_without_path_x_computed_from_the_row() -> None:
    five = ["60", "70", "✗", "80", "90.03"]
    rows = pd.DataFrame([five, ["60", "", "1", "2", "3"]], columns=list(WITHOUT_PATH_X))
    assert list(published_without_path_x(rows)) == ["70.01", ""]
