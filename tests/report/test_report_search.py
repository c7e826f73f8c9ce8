"""The search section, and that no score of a tuning stage is taken for a result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_builder as builder
from report_reading import evidence, section, spoken

from harness.report.build import report
from harness.report.frame import trials
from harness.report.statistics import expected_best

LEVELS = {"basis": ["legs", "legt"]}
SPACE = {"training.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def tune(stage: str, index: int, lr: float, **given: Any) -> dict[str, Any]:
    made = {"method": "random", "trials": 3, "pruner": "asha", "seeds": 1, "batch": 1, "seed": 1_000_000}
    made |= {"space": SPACE, "search": "aaa", "stage": stage, "index": index, "values": {"training.lr": lr}}
    return made | given


def tried(
    results: Path, basis: str, index: int, score: float, status: str = "done", seed: int = 1_000_000, **given: Any
) -> Path:
    arm, lr = {"basis": basis}, 1e-3 * (index + 1)
    about = {"arm": arm, "levels": LEVELS, "repeats": 2, "seed": seed}
    return builder.trial(results, score, status, tune=tune("tuning", index, lr, **given), steps=40 + index, **about)


def search(results: Path) -> Path:
    """Two arms of three configurations each and their confirmation; legs' third is stopped, legt's diverged."""
    folder = results
    for basis, last in (("legs", "stopped"), ("legt", "diverged")):
        for index, (score, status) in enumerate(((0.5, "done"), (0.4, "done"), (0.9, last))):
            tried(results, basis, index, score, status)
        for seed in (0, 1):
            about = {"arm": {"basis": basis}, "levels": LEVELS, "repeats": 2, "seed": seed, "steps": 41}
            folder = builder.trial(results, 0.6 + 0.01 * seed, tune=tune("confirmation", 1, 2e-3), **about)
    return folder


def test_results_are_the_scores_of_the_confirmation_alone(tmp_path: Path) -> None:
    [study] = evidence(search(tmp_path)).studies
    assert {trial.stage for trial in study.trials} == {"confirmation"}
    assert (len(study.trials), len(study.tuning), study.planned, study.set_aside) == (4, 6, 4, 0)


def test_the_section_states_method_space_budget_and_the_rule_of_stopping(tmp_path: Path) -> None:
    [part] = section(search(tmp_path), "search").parts
    said = spoken(part)
    assert "Method: random" in said and "training.lr from 0.0001 to 0.01, logarithmic" in said
    assert "Budget: 3 configurations for each arm" in said and "asynchronous successive halving" in said


def test_the_best_of_each_arm_stands_beside_the_expected_best(tmp_path: Path) -> None:
    [part] = section(search(tmp_path), "search").parts
    row = part.tables[0].data.iloc[0].to_dict()
    assert (row["tried"], row["done"], row["stopped"], row["failed"]) == (3, 2, 1, 0)
    assert row["training.lr"] == "0.002"
    assert row["best on validation"] == pytest.approx(0.4 * (1 + 1 / 40))


def test_every_tuning_trial_is_listed_with_its_status(tmp_path: Path) -> None:
    [part] = section(search(tmp_path), "search").parts
    assert list(part.tables[1].data["status"]) == ["done", "done", "stopped", "done", "done", "diverged"]


def test_failures_and_verdict_point_to_the_search(tmp_path: Path) -> None:
    folder = search(tmp_path)
    [failures] = section(folder, "failures").parts
    assert "Of 6 tuning trials, 1 diverged and 1 stopped" in spoken(failures)
    [verdict] = section(folder, "verdict").parts
    assert "the best on validation of 3 configurations" in spoken(verdict)


def test_a_search_that_was_cut_before_its_confirmation_has_a_report_and_no_result(tmp_path: Path) -> None:
    folder = tried(tmp_path / "results", "legs", 0, 0.5)
    [study] = evidence(folder).studies
    assert study.trials == () and len(study.tuning) == 1
    said = report([folder], tmp_path / "out").with_suffix(".md").read_text()
    assert "Cannot tell: no trial is done." in said and "Fewer configurations than the budget" in said


def test_a_run_of_the_untuned_file_is_no_result_of_a_search(tmp_path: Path) -> None:
    folder = tried(tmp_path, "legs", 0, 0.5)
    builder.trial(tmp_path, 0.1, arm={"basis": "legs"}, levels=LEVELS, repeats=2)
    [study] = evidence(folder).studies
    assert study.trials == () and study.set_aside == 1


def test_a_tuning_trial_is_no_result_of_the_file_without_its_search(tmp_path: Path) -> None:
    folder = tried(tmp_path, "legs", 0, 0.5)
    late = builder.header(arm={"basis": "legs"}, levels=LEVELS, repeats=2)
    late["created"] += 2_000_000
    builder.write(tmp_path, [late, builder.metric("rmse", 0.3, 40, "test"), builder.end()])
    [study] = evidence(folder).studies
    assert [trial.seed for trial in study.trials] == [0] and study.tuning == ()


def test_other_searches_of_the_arm_are_set_aside(tmp_path: Path) -> None:
    folder = tried(tmp_path, "legs", 0, 0.5, search="bbb", values={"training.lr": 5e-3})
    tried(tmp_path, "legs", 1, 0.4, seed=1_000_001)
    [study] = evidence(folder).studies
    assert len(study.tuning) == 1 and study.set_aside == 1


def test_the_table_of_results_says_which_stage_a_trial_is_of(tmp_path: Path) -> None:
    table = trials(search(tmp_path))
    assert table.groupby("stage").size().to_dict() == {"confirmation": 4, "tuning": 6}
    assert table["training.lr"].notna().all()


def test_the_expected_best_is_that_of_draws_from_the_scores() -> None:
    scores = [0.3, 0.9, 0.5, 0.7]
    draws = np.array(np.meshgrid(scores, scores, scores)).reshape(3, -1)
    assert expected_best(scores, 3) == pytest.approx(draws.max(axis=0).mean())
    assert expected_best(scores, 3, higher_is_better=False) == pytest.approx(draws.min(axis=0).mean())
    assert expected_best(scores, 1) == pytest.approx(np.mean(scores))
