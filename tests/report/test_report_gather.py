"""Which records belong together, and how their study says that it was made."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_builder import LISTOPS, header, stub, sweep, trial, write
from report_reading import only, section, spoken

from harness.report.build import report
from harness.report.frame import load_results, trials
from harness.report.gather import studies

LEVELS = {"basis": ["legs", "legt"]}
SHORT = {"steps": 4, "settings": ["training.steps=4"]}


def facts(results: Path) -> dict[str, str]:
    return dict(only(section(results, "provenance")).tables[0].data.values.tolist())


def rmse(arm: object, seed: int) -> float:
    return 0.3 + 0.01 * seed


def test_records_of_an_earlier_form_of_the_file_are_set_aside(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, seeds=2)
    gone = sweep(tmp_path, rmse, seeds=1, levels={"basis": ["legs"], "dt": ["0.5"]}, name="other")
    old = next(gone.glob("*.jsonl"))
    text = (
        old.read_text().replace('"name":"other"', '"name":"study"').replace('"created":1790000000.0', '"created":1.0')
    )
    (tmp_path / "study" / old.name).write_text(text)
    old.unlink()
    (study,) = studies(tmp_path)
    assert (len(study.trials), study.set_aside) == (12, 1)


def test_a_record_with_a_field_that_older_ones_lack_is_of_the_same_study(tmp_path: Path) -> None:
    folder = sweep(tmp_path, rmse, seeds=2, levels=LEVELS)
    newer = sorted(folder.glob("*.jsonl"))[0]
    newer.write_text(newer.read_text().replace('"steps":40}', '"steps":40,"compile":false}', 1))
    assert '"compile":false' in newer.read_text()
    (study,) = studies(tmp_path)
    assert (len(study.trials), study.set_aside) == (4, 0)


def test_an_arm_run_with_another_budget_is_set_aside_and_said_to_be(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, seeds=2, levels=LEVELS, primary="legt - legs")
    trial(tmp_path, 0.1, levels=LEVELS, arm={"basis": "legt"}, seed=5, repeats=2, primary="legt - legs", **SHORT)
    (study,) = studies(tmp_path)
    assert [one.spec["training"]["steps"] for one in study.trials] == [40] * 4
    assert study.set_aside == 1
    assert "with other settings: 1 record." in spoken(only(section(tmp_path, "verdict")))
    assert facts(tmp_path)["Set aside"] == "1 record of other forms of the file or with other settings"


def test_a_whole_sweep_with_other_settings_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, seeds=1, levels=LEVELS)
    for path in (tmp_path / "study").iterdir():
        path.write_text(path.read_text().replace('"created":1790000000.0', '"created":1.0'))
    sweep(tmp_path, rmse, seeds=1, levels=LEVELS, **SHORT)
    assert [one.spec["training"]["steps"] for one in studies(tmp_path)[0].trials] == [4, 4]


def test_a_part_that_no_axis_compares_tells_forms_apart_without_settings(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, seeds=2, levels=LEVELS)
    trial(tmp_path, 0.1, levels=LEVELS, arm={"basis": "legt"}, seed=5, repeats=2, steps=4)
    (study,) = studies(tmp_path)
    assert (len(study.trials), study.set_aside) == (4, 1)


def test_more_seeds_by_a_setting_join_the_seeds_before(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, seeds=2, levels=LEVELS)
    more = {"seed": 2, "repeats": 3, "settings": ["repeats=3"]}
    for basis in LEVELS["basis"]:
        trial(tmp_path, 0.1, levels=LEVELS, arm={"basis": basis}, **more)
    (study,) = studies(tmp_path)
    assert (len(study.trials), study.set_aside, study.planned) == (6, 0, 6)


def test_records_from_before_settings_were_kept_are_read(tmp_path: Path) -> None:
    head = header()
    del head["ablation"]["settings"], head["ablation"]["smoke"]
    write(tmp_path, [head])
    assert facts(tmp_path)["Reproduce"] == "harness run ablations/study.toml"


def test_the_protocol_says_what_differs_between_arms(tmp_path: Path) -> None:
    levels = {"training.lr": ["1", "2"]}
    for lr, steps in (("1", 40), ("2", 4)):
        trial(tmp_path, 0.1, levels=levels, arm={"training.lr": lr}, steps=steps)
    assert "training adamw (differs between arms: steps 40 / 4)" in facts(tmp_path)["Protocol"]


def test_the_protocol_does_not_call_a_compared_parameter_different(tmp_path: Path) -> None:
    levels = {"training.steps": ["40", "4"]}
    for steps in levels["training.steps"]:
        trial(tmp_path, 0.1, levels=levels, arm={"training.steps": steps}, steps=int(steps))
    assert "differs" not in facts(tmp_path)["Protocol"]


def test_the_command_repeats_the_settings_quoted_for_a_shell(tmp_path: Path) -> None:
    trial(tmp_path, 0.1, settings=["training.steps=4", 'model={name = "s4"}'])
    command = "harness run ablations/study.toml --set training.steps=4 --set 'model={name = \"s4\"}'"
    assert facts(tmp_path)["Reproduce"] == command


def test_the_command_of_a_smoke_run_names_the_file(tmp_path: Path) -> None:
    trial(tmp_path, 0.1, name="study-smoke", smoke=True)
    part = only(section(tmp_path, "provenance"))
    assert facts(tmp_path)["Reproduce"] == "harness run ablations/study.toml --smoke"
    assert part.code[0][0] == "ablations/study.toml"


def test_a_file_whose_own_name_ends_in_smoke_keeps_it(tmp_path: Path) -> None:
    trial(tmp_path, 0.1, name="study-smoke")
    assert facts(tmp_path)["Reproduce"] == "harness run ablations/study-smoke.toml"


def test_the_command_asks_for_real_data_and_for_plugins(tmp_path: Path) -> None:
    head = header()
    head["data"]["kind"] = "real"
    head["plugins"] = ["my_parts.bases", "harness_plugin_mine"]
    write(tmp_path, [head])
    wanted = "harness run ablations/study.toml --plugin my_parts.bases --plugin PATH/mine.py --data-root PATH"
    assert facts(tmp_path)["Reproduce"] == wanted


@pytest.mark.parametrize("task", [None, LISTOPS], ids=["synthetic", "lra"])
def test_a_trial_that_died_before_its_header_is_a_counted_failure(tmp_path: Path, task: dict[str, str] | None) -> None:
    about = {"levels": LEVELS, "primary": "legt - legs"} | ({"task": task} if task else {})
    sweep(tmp_path, rmse, seeds=3, **about)
    stub(tmp_path, arm={"basis": "legt"}, seed=2, **about)
    failures = section(tmp_path, "failures")
    assert failures.sentences[0] == "6 trials: 5 done, 1 out_of_memory."
    assert only(failures).tables[0].data["reason"].tolist() == ["killed by signal 9"]
    said = spoken(only(section(tmp_path, "verdict")))
    assert "2 paired seeds" in said
    assert "5 of 6 planned trials done." in said


def test_an_arm_of_trials_that_died_early_is_an_empty_cell_and_not_left_out(tmp_path: Path) -> None:
    sweep(tmp_path, rmse, seeds=1, levels=LEVELS)
    stub(tmp_path, arm={"basis": "legt"}, seed=0, levels=LEVELS, repeats=1)
    table = only(section(tmp_path, "delay")).tables[0].data.set_index("basis")
    assert table.loc["legt", "rmse"].n == 0


def test_records_without_a_whole_header_alone_make_a_report(tmp_path: Path) -> None:
    stub(tmp_path / "results")
    head = header(seed=1)
    head["task"] = {"name": "delay"}
    write(tmp_path / "results", [head])
    text = report([tmp_path / "results"], tmp_path / "out").with_name("report.md").read_text(encoding="utf-8")
    assert "Cannot tell: no trial is done." in text
    assert set(trials(tmp_path / "results")["status"]) == {"out_of_memory", "interrupted"}
    assert len(load_results(tmp_path / "results")) == 0


def test_a_preset_may_have_other_numbers_for_each_compared_task(tmp_path: Path) -> None:
    levels = {"task": ["listops", "image"]}
    for steps, name in ((40, "listops"), (90, "image")):
        task = {**LISTOPS, "name": name, "title": name.title()}
        about = {"levels": levels, "arm": {"task": name}, "task": task, "steps": steps, "repeats": 1}
        trial(tmp_path, 0.5, preset_axes=["training"], **about)  # type: ignore[arg-type]
    (study,) = studies(tmp_path)
    assert (len(study.trials), study.set_aside) == (2, 0)


def test_shards_in_several_folders_are_one_study_in_which_a_trial_counts_once(tmp_path: Path) -> None:
    whole = sweep(tmp_path / "whole", rmse, seeds=2)
    shares = [tmp_path / "one" / "study", tmp_path / "other" / "study"]
    for place, path in enumerate(sorted(whole.glob("*.jsonl"))):
        # The third record lies in both.
        for share in shares if place == 2 else [shares[place % 2]]:
            share.mkdir(parents=True, exist_ok=True)
            (share / path.name).write_bytes(path.read_bytes())
    for read in (studies, load_results, trials):
        found, expected = read([tmp_path / "one", tmp_path / "other"]), read(tmp_path / "whole")
        assert len(found) == len(expected)
    (apart,), (together,) = studies(shares), studies(whole)
    assert {one.id for one in apart.trials} == {one.id for one in together.trials}
    assert apart.set_aside == together.set_aside == 0
