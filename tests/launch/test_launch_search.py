"""A search: equal budgets, the same proposals whatever happens, one record for a configuration, best on validation."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from search_toy import basis, best_of, options, play, proposals, stage, toy, tune

from harness import records
from harness.launch import storage
from harness.launch.search import Searching, curve, known
from harness.launch.sweep import run

METHODS = ("grid", "random", "tpe", "cmaes")
GRID = "lr = [1e-3, 3e-3]\nweight_decay = [0.0, 0.1]\n"


def changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def by(method: str) -> Callable[[str], str]:
    """The toy's file with another method."""
    if method == "grid":
        return lambda text: text[: text.index("method")] + 'method = "grid"\n' + GRID
    return lambda text: text.replace('"tpe"', f'"{method}"')


@pytest.fixture(scope="module", params=METHODS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A method and the folder of its finished search."""
    folder = tmp_path_factory.mktemp(request.param) / "toy"
    made = toy(folder, by(request.param))
    if request.param == "tpe":
        assert run([made], options()) == 0
    else:
        play(made)
    return request.param, folder


def test_every_arm_tries_its_budget_and_confirms_its_best_on_fresh_seeds(finished: tuple[str, Path]) -> None:
    _, folder = finished
    tuning, confirmed = stage(folder, "tuning"), stage(folder, "confirmation")
    assert Counter(map(basis, tuning)) == {"legs": 4, "legt": 4}
    assert {record.header["spec"]["seed"] for record in tuning} == {1_000_000}
    for name in ("legs", "legt"):
        best = min((record for record in tuning if basis(record) == name), key=best_of)
        again = [record for record in confirmed if basis(record) == name]
        assert [tune(record)["values"] for record in again] == [tune(best)["values"]] * 2
        assert [record.header["spec"]["seed"] for record in again] == [0, 1]


def test_a_search_that_was_cut_proposes_what_it_would_have_proposed(finished: tuple[str, Path], tmp_path: Path) -> None:
    method, folder = finished
    cut = tmp_path / "toy"
    cut.mkdir()
    for _, index, trial_id in proposals(folder):
        if index < 2:
            shutil.copy(folder / f"{trial_id}.jsonl", cut)
    play(toy(cut, by(method)))
    assert proposals(cut) == proposals(folder)
    assert {path.name for path in cut.glob("*.jsonl")} == {path.name for path in folder.glob("*.jsonl")}


def test_the_same_command_again_runs_nothing(finished: tuple[str, Path]) -> None:
    method, folder = finished
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.jsonl")}
    assert run([toy(folder, by(method))], options()) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.jsonl")} == before


def test_the_mirrored_studies_are_what_the_records_say(finished: tuple[str, Path]) -> None:
    _, folder = finished
    held = optuna.get_all_study_names(storage.uri(folder))
    assert held == ["toy: basis legs", "toy: basis legt"]
    for name in held:
        study = optuna.load_study(study_name=name, storage=storage.uri(folder))
        own = [record for record in stage(folder, "tuning") if basis(record) == name.rpartition(" ")[2]]
        assert [trial.params for trial in study.trials] == [tune(record)["values"] for record in own]
        assert [trial.value for trial in study.trials] == [best_of(record) for record in own]
        assert [trial.user_attrs["trial_ids"] for trial in study.trials] == [[record.trial_id] for record in own]
        assert [list(trial.intermediate_values.items()) for trial in study.trials] == [curve(r, "rmse") for r in own]
        assert study.best_value == min(map(best_of, own))


def test_the_mirror_comes_back_as_it_was_when_it_is_removed(finished: tuple[str, Path]) -> None:
    method, folder = finished
    before = mirrored(folder)
    (folder / storage.FILE).unlink()
    play(toy(folder, by(method)))
    assert mirrored(folder) == before


def mirrored(folder: Path) -> list[tuple[object, ...]]:
    """Everything of the trials in the file but the numbers that the database gave them."""
    return [
        (name, one.number, one.state, one.values, one.params, one.distributions, one.user_attrs,
         one.intermediate_values, one.datetime_start, one.datetime_complete)
        for name in optuna.get_all_study_names(storage.uri(folder))
        for one in optuna.load_study(study_name=name, storage=storage.uri(folder)).trials
    ]  # fmt: skip


def test_a_larger_budget_keeps_what_was_tried(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    play(toy(folder, lambda text: text.replace("trials = 4", "trials = 2")))
    first = proposals(folder)
    play(toy(folder))
    assert set(first) < set(proposals(folder)) and len(proposals(folder)) == 8


def test_a_configuration_that_is_suggested_again_is_one_trial_and_counts_once(tmp_path: Path) -> None:
    space = "lr = [1e-3, 3e-3, 1e-2]\n"
    made = toy(tmp_path / "toy", lambda text: text[: text.index("lr =")].replace("trials = 4", "trials = 9") + space)
    play(made)
    tried = [(basis(record), tune(record)["values"]["training.lr"]) for record in stage(made.folder, "tuning")]
    assert len(tried) == len(set(tried)) == 6
    study = optuna.load_study(study_name="toy: basis legs", storage=storage.uri(made.folder))
    repeats = [trial for trial in study.trials if "repeats" in trial.user_attrs]
    assert len(study.trials) == 3 + len(repeats) and {trial.state for trial in repeats} <= {TrialState.FAIL}


def test_several_tuning_seeds_are_one_configuration_with_their_mean(tmp_path: Path) -> None:
    made = toy(tmp_path / "toy", lambda text: text.replace("trials = 4", "trials = 2\nseeds = 2"))
    play(made)
    assert [record.header["spec"]["seed"] for record in stage(made.folder, "tuning")] == [1_000_000, 1_000_001] * 4
    study = optuna.load_study(study_name="toy: basis legs", storage=storage.uri(made.folder))
    assert [len(trial.user_attrs["trial_ids"]) for trial in study.trials] == [2, 2]


@pytest.mark.parametrize("pruner", ["asha", pytest.param("median", marks=pytest.mark.long)])
def test_early_stopping_is_a_record_with_its_step_and_the_same_each_time(pruner: str, tmp_path: Path) -> None:
    folders = [tmp_path / name / "toy" for name in ("first", "second")]
    changes = {'["legs", "legt"]': '["legs"]', "trials = 4": f'trials = 6\npruner = "{pruner}"'}
    for folder in folders:
        folder.parent.mkdir()
        assert run([toy(folder, lambda text: changed(text, changes))], options()) == 0
    stopped = [record for record in stage(folders[0], "tuning") if record.status == "stopped"]
    assert 0 < len(stopped) < 6
    for record in stopped:
        assert record.end is not None
        assert record.rows[-1]["step"] == record.end["step"] < 90
        assert f"Stopped at step {record.end['step']} by {pruner}" in record.end["reason"]
        assert not any(row["split"] == "test" for row in record.metrics())
    assert all(record.status == "done" for record in stage(folders[0], "confirmation"))
    ends = [[(one, record.status, (record.end or {}).get("step")) for one, record in
             zip(proposals(folder), stage(folder, "tuning"), strict=True)] for folder in folders]  # fmt: skip
    assert ends[0] == ends[1]


@pytest.mark.long
def test_a_stopped_trial_can_be_run_to_its_end_and_no_other_suggestion_changes(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    changes = {'["legs", "legt"]': '["legs"]', "trials = 4": 'trials = 6\npruner = "asha"'}
    made = toy(folder, lambda text: changed(text, changes))
    assert run([made], options()) == 0
    stopped = {record.trial_id for record in stage(folder, "tuning") if record.status == "stopped"}
    before, listed = proposals(folder), known(made, options())
    again = replace(listed, jobs=[job for job in listed.jobs if job["trial_id"] in stopped])
    assert run([again], options(retry_statuses=("stopped",))) == 0
    assert run([made], options()) == 0
    assert proposals(folder) == before
    assert {record.status for record in stage(folder, "tuning")} == {"done"}


def test_a_score_that_is_nan_ends_a_trial_diverged_and_is_no_failure_of_a_search(tmp_path: Path) -> None:
    change = ("repeats = 2", 'repeats = 2\nlabels = ["nan"]')
    made = toy(
        tmp_path / "toy", lambda text: text.replace(*change).replace("trials = 4", 'trials = 6\npruner = "asha"')
    )
    assert run([made], options()) == 0
    diverged = [record for record in stage(made.folder, "tuning") if record.status == "diverged"]
    assert diverged and all(tune(record)["values"]["training.weight_decay"] > 0.5 for record in diverged)
    assert {record.rows[-1]["step"] for record in diverged} == {20}
    study = optuna.load_study(study_name=f"toy: basis {basis(diverged[0])}", storage=storage.uri(made.folder))
    assert TrialState.PRUNED in {trial.state for trial in study.trials}


@pytest.mark.parametrize(("label", "status", "most"), [("raises", "error", 2), ("no memory", "out_of_memory", 3)])
def test_a_configuration_that_fails_for_good_does_not_hold_its_arm_up(
    tmp_path: Path, label: str, status: str, most: int
) -> None:
    """Where memory runs out the second failure is the last, whatever is allowed: it had half the micro-batches."""
    change = ("repeats = 2", f'repeats = 2\nlabels = ["{label}"]')
    made = toy(tmp_path / "toy", lambda text: text.replace(*change), max_attempts=most)
    assert run([made], options()) == 1
    failed = [record for record in stage(made.folder, "tuning") if record.status == status]
    assert failed and {(record.end or {})["attempt"] for record in failed} == {2}
    assert len(stage(made.folder, "tuning")) == 8 and len(stage(made.folder, "confirmation")) == 4


def test_shards_deal_out_arms(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    for part, name in ((1, "legs"), (2, "legt")):
        made = toy(folder)
        play(made, shard=(part, 2))
        own = [record for record in map(records.read, folder.glob("*.jsonl")) if basis(record) == name]
        assert made.ids == {record.trial_id for record in own} and len(own) == 6
    assert len(optuna.get_all_study_names(storage.uri(folder))) == 2


def test_a_search_that_is_stopped_says_what_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = toy(tmp_path / "toy")
    assert run([made], options(deadline_s=0.0, quiet=False)) == 130
    assert "The same command goes on" in capfd.readouterr().out
    left = Searching(made, options())
    assert len(left.sweep().jobs) + left.unknown() == 12


def test_force_makes_a_search_anew(tmp_path: Path) -> None:
    made = toy(tmp_path / "toy", lambda text: text.replace("trials = 4", "trials = 1"))
    play(made)
    before = {one.trial_id: one.header["created"] for one in map(records.read, made.folder.glob("*.jsonl"))}
    assert run([made], options(force=True)) == 0
    after = {one.trial_id: one.header["created"] for one in map(records.read, made.folder.glob("*.jsonl"))}
    assert before.keys() == after.keys() and not before.items() & after.items()


def test_a_search_of_other_data_tries_the_same_configurations_again(tmp_path: Path) -> None:
    made = toy(tmp_path / "toy", lambda text: text.replace("trials = 4", "trials = 1"))
    play(made)
    assert made.search is not None
    changed = toy(made.folder, lambda text: text.replace("trials = 4", "trials = 1"))
    changed.fingerprints.update({arm.id: "f2" for arm in made.search.arms})  # type: ignore[attr-defined]
    again = known(changed, options())
    assert [job["trial_id"] for job in again.jobs] == [trial_id for _, _, trial_id in proposals(made.folder)]


def test_a_mirror_that_cannot_be_written_is_told_and_costs_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = toy(tmp_path / "toy", lambda text: text.replace("trials = 4", "trials = 1"))
    (made.folder / storage.FILE).mkdir(parents=True)
    assert run([made], options(quiet=False)) == 0
    assert "optuna.db could not be written" in capfd.readouterr().out
