"""Presets: complete, of a known source, beneath whatever the file says, and told when there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.ablation import read
from harness.choices import AXES
from harness.errors import UsageError
from harness.plan import Plan, plan
from harness.presets import PRESETS
from harness.presets.preset import load
from harness.tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent.parent
LRA = ("listops", "text", "retrieval", "image", "pathfinder", "pathx")
CASES = [(name, task) for name in PRESETS for task in load(name).tasks]
HERE = [(name, task) for name, task in CASES if task in TASKS]


def planned(tmp_path: Path, top: str, fixed: str = "", compare: str = "", smoke: bool = False) -> Plan:
    path = tmp_path / "study.toml"
    path.write_text(f'question = "q"\nexpect = "e"\n{top}\n[fixed]\n{fixed}\n[compare]\n{compare}\n')
    return plan(read(path, smoke=smoke), smoke)


def choices(tmp_path: Path, preset: str, task: str, fixed: str = "", compare: str = "") -> dict[str, Any]:
    return dict(planned(tmp_path, f'preset = "{preset}"', f'task = "{task}"\n{fixed}', compare).trials[0].choices)


def test_every_file_is_listed_and_packaged() -> None:
    files = {path.stem for path in (ROOT / "harness" / "presets").glob("*.toml")}
    assert files == set(PRESETS) and '"harness.presets" = ["*.toml"]' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", ["repo-v4", "httyh-v3", "s4-v1", "fair"])
def test_a_recipe_has_every_task_of_the_arena(name: str) -> None:
    assert set(load(name).tasks) == set(LRA)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_preset_names_axes_that_exist_and_its_source(name: str, task: str) -> None:
    preset = load(name)
    assert set(preset.tasks[task]) <= set(AXES["train"]) and preset.source and preset.departures
    assert task in preset.sources or name == "fair"


@pytest.mark.parametrize(("name", "task"), HERE)
def test_a_preset_is_a_whole_trial_and_every_value_is_in_its_spec(name: str, task: str, tmp_path: Path) -> None:
    found = choices(tmp_path, name, task)
    for axis, table in load(name).tasks[task].items():
        assert {key: found[axis][key] for key in table} == table


@pytest.mark.parametrize(("name", "task"), HERE)
def test_a_preset_has_a_smoke_run(name: str, task: str, tmp_path: Path) -> None:
    small = planned(tmp_path, f'preset = "{name}"', f'task = "{task}"', smoke=True)
    assert small.trials[0].choices["training"]["steps"] == 2


@pytest.mark.parametrize(
    ("name", "task", "axis", "values"),
    [
        (
            "repo-v4",
            "listops",
            "training",
            {"lr": 0.01, "lr_dt": 0.01, "lr_ssm": 0.001, "lr_C": 0.01, "batch_size": 32},
        ),
        ("repo-v4", "listops", "dt", {"transform": "softplus", "floor": 1e-4, "min": 1e-3, "max": 0.1}),
        ("repo-v4", "image", "training", {"lr_C": 0.001, "lr_dt": 0.001, "warmup_steps": 18_000, "weight_decay": 0.05}),
        ("repo-v4", "image", "model", {"tie_dropout": True, "dropout_convolution": 0.1, "b_clip_part": "imag"}),
        ("httyh-v3", "image", "model", {"n_ssm": 2, "norm": "layer", "b_clip": None, "prenorm": False}),
        ("httyh-v3", "listops", "model", {"n_layers": 8, "d_model": 128, "d_state": 64, "n_ssm": 128}),
        ("s4-v1", "listops", "training", {"schedule": "plateau", "plateau_patience": 5, "plateau_factor": 0.2}),
        ("s4-v1", "image", "model", {"bidirectional": False, "glu": False, "dropout": 0.2}),
        ("fair", "image", "training", {"test_at": "best", "eval_drop_last": False, "decay": "weights"}),
        ("ablation-small", "delay", "model", {"d_model": 4, "d_state": 1024, "residual": False, "norm": "none"}),
    ],
)
def test_values_are_those_of_the_source(
    name: str, task: str, axis: str, values: dict[str, Any], tmp_path: Path
) -> None:
    found = choices(tmp_path, name, task)[axis]
    assert {key: found[key] for key in values} == values


@pytest.mark.parametrize(
    ("name", "task", "train", "epochs"),
    [
        ("repo-v4", "listops", 96_000, 40),
        ("repo-v4", "text", 25_000, 32),
        ("repo-v4", "retrieval", 147_086, 20),
        ("repo-v4", "image", 45_000, 200),
        ("repo-v4", "pathfinder", 160_000, 200),
        ("repo-v4", "pathx", 160_000, 50),
        ("httyh-v3", "listops", 96_000, 40),
        ("httyh-v3", "text", 25_000, 32),
        ("httyh-v3", "retrieval", 147_086, 20),
        ("httyh-v3", "image", 45_000, 200),
        ("httyh-v3", "pathfinder", 160_000, 200),
        ("httyh-v3", "pathx", 160_000, 50),
        ("s4-v1", "listops", 96_000, 50),
        ("s4-v1", "text", 25_000, 40),
        ("s4-v1", "retrieval", 147_086, 25),
        ("s4-v1", "image", 45_000, 100),
        ("s4-v1", "pathfinder", 160_000, 200),
        ("s4-v1", "pathx", 160_000, 100),
    ],
)
def test_steps_are_the_epochs_of_the_source_without_its_last_batches(
    name: str, task: str, train: int, epochs: int
) -> None:
    recipe = load(name).tasks[task]["training"]
    assert (recipe["steps"], recipe["evaluations"]) == (epochs * (train // recipe["batch_size"]), epochs)


def test_what_the_file_says_stands_above_the_preset(tmp_path: Path) -> None:
    found = choices(
        tmp_path, "repo-v4", "listops", "model = {d_state = 16}\ntraining = {lr = 0.005}", 'basis = ["fout"]'
    )
    assert (found["model"]["d_state"], found["model"]["d_model"]) == (16, 256)
    assert (found["training"]["lr"], found["training"]["batch_size"]) == (0.005, 32)
    assert found["basis"]["name"] == "fout"


def test_the_word_default_takes_a_value_out_of_the_preset(tmp_path: Path) -> None:
    fixed = 'model = {structure = "diagonal", b_clip = "default", b_clip_part = "default"}\nbasis = "s4d-lin"'
    found = choices(tmp_path, "repo-v4", "listops", fixed)["model"]
    assert (found["b_clip"], found["b_clip_part"], found["real_floor"]) == (None, "modulus", 1e-4)


def test_a_compared_task_takes_its_own_numbers(tmp_path: Path) -> None:
    found = planned(tmp_path, 'preset = "fair"', "", 'task = ["listops", "image"]')
    assert [trial.choices["model"]["d_model"] for trial in found.trials] == [128, 512]
    # Without this the report would take the arms for two forms of the file and set one of them aside.
    axes = [
        next(one.jobs())["ablation"]["preset_axes"]
        for one in (found, planned(tmp_path, "", 'task = "image"\nbasis = "legs"'))
    ]
    assert axes == [["basis", "dt", "model", "training"], []]


def test_a_file_without_preset_is_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no basis is chosen"):
        planned(tmp_path, "", 'task = "listops"')


def test_the_record_says_which_preset_and_its_labels(tmp_path: Path) -> None:
    shared = next(planned(tmp_path, 'preset = "ablation-small"', 'task = "image"').jobs())["ablation"]
    assert shared["preset"] == "ablation-small"
    assert shared["labels"] == ["small model: not comparable with published rows"]


@pytest.mark.parametrize(
    ("top", "fixed", "sentence"),
    [
        ('preset = "fairr"', 'task = "image"', "line 3: Unknown preset 'fairr'. Did you mean 'fair'"),
        ('preset = "fair"', 'task = "delay"', "line 3: The preset 'fair' has no task 'delay'. It has: listops, text"),
        ('preset = "fair"', 'task = "delay"', "Presets that have 'delay': ablation-small."),
        ('preset = "fair"\nkind = "throughput"', "", "line 3: preset is a recipe for training"),
        ('preset = "fair"', 'task = "image"\ntraining = {steps = 9}', "The preset 'fair' says what the file leaves"),
        ('preset = "fair"', "", "no task is chosen"),
    ],
)
def test_a_preset_that_does_not_fit_is_one_sentence(top: str, fixed: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, top, fixed)
    assert sentence in str(caught.value)
