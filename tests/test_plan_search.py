"""A search is planned as far as it can be before it runs, and refused, in one sentence, where it could not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.ablation import read
from harness.errors import UsageError
from harness.plan import Plan, only, plan
from harness.search import CONFIRMATION, TUNING
from harness.tuning import TUNING_SEED

ROOT = Path(__file__).resolve().parent.parent
GOOD = """
question = "Which?"
expect = "This."
repeats = 3
[fixed]
task = {name = "delay", length = 64, lag = 16}
model = {d_model = 4, d_state = 8}
training = {steps = 40}
[compare]
basis = ["legs", "legt"]
[tune]
method = "tpe"
trials = 5
lr_ssm = {low = 1e-4, high = 1e-2, log = true}
model.n_layers = {low = 1, high = 3}
model.dropout = [0.0, 0.1]
"""


def planned(tmp_path: Path, text: str = GOOD, settings: list[str] | None = None, smoke: bool = False) -> Plan:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return plan(read(path, settings, smoke), smoke)


VALUES = {"training.lr_ssm": 0.001, "model.n_layers": 2, "model.dropout": 0.1}


def test_every_arm_has_the_same_budget_and_the_same_confirmation(tmp_path: Path) -> None:
    one = planned(tmp_path)
    assert one.search is not None and one.trials == ()
    assert [arm.title for arm in one.search.arms] == ["basis legs", "basis legt"]
    assert one.search.trials == {TUNING: 5, CONFIRMATION: 3}


def test_a_tuned_trial_hashes_as_the_same_trial_written_out(tmp_path: Path) -> None:
    search = planned(tmp_path).search
    assert search is not None
    jobs = search.jobs(search.arms[0], CONFIRMATION, 4, VALUES)
    written = GOOD.partition("[tune]")[0].replace("d_state = 8}", "d_state = 8, n_layers = 2, dropout = 0.1}")
    same = planned(tmp_path, written.replace("steps = 40}", "steps = 40, lr_ssm = 1e-3}"))
    assert [job["trial_id"] for job in jobs] == [
        trial.trial_id for trial in same.trials if trial.arm.labels["basis"] == "legs"
    ]


def test_a_tuned_value_overrides_the_preset_and_the_rest_of_it_stands(tmp_path: Path) -> None:
    without = GOOD.replace("model = {d_model = 4, d_state = 8}\ntraining = {steps = 40}\n", "")
    one = planned(tmp_path, 'preset = "ablation-small"' + without)
    assert one.search is not None
    job = one.search.jobs(one.search.arms[1], TUNING, 0, {**VALUES, "training.lr_ssm": 0.004})[0]
    assert job["ablation"]["preset"] == "ablation-small" and job["spec"]["basis"]["name"] == "legt"
    model, training = job["spec"]["model"], job["spec"]["training"]
    # The preset's own delay has 1 layer, dropout 0 and lr_ssm 1e-3; its d_state and steps are not tuned.
    assert (model["n_layers"], model["dropout"], model["d_state"]) == (2, 0.1, 1024)
    assert (training["lr_ssm"], training["steps"]) == (0.004, 5_120)


def test_tuning_and_confirmation_share_no_seed_and_say_which_they_are(tmp_path: Path) -> None:
    search = planned(tmp_path, GOOD + "seeds = 2\n").search
    assert search is not None
    tuning, confirmation = (search.jobs(search.arms[0], stage, 0, VALUES) for stage in (TUNING, CONFIRMATION))
    assert [job["spec"]["seed"] for job in tuning] == [TUNING_SEED, TUNING_SEED + 1]
    assert [job["spec"]["seed"] for job in confirmation] == [0, 1, 2]
    assert {job["ablation"]["tune"]["stage"] for job in confirmation} == {"confirmation"}
    assert tuning[0]["ablation"]["tune"]["values"] == VALUES


def test_a_consequence_of_a_tuned_value_does_not_split_a_search(tmp_path: Path) -> None:
    """lr_dt is written out as lr_ssm: it follows from what is tuned, and d_state does not."""
    first = planned(tmp_path).search
    wider = planned(tmp_path, GOOD.replace("high = 1e-2", "high = 2e-2")).search
    other = planned(tmp_path, GOOD.replace("d_state = 8", "d_state = 16")).search
    assert first and wider and other
    assert first.arms[0].id == wider.arms[0].id != other.arms[0].id


def test_a_grid_needs_no_budget_and_has_its_size(tmp_path: Path) -> None:
    text = GOOD.replace('"tpe"\ntrials = 5', '"grid"').replace("{low = 1e-4, high = 1e-2, log = true}", "[1e-3, 1e-2]")
    search = planned(tmp_path, text).search
    assert search is not None and (search.tune.trials, search.tune.batch) == (2 * 3 * 2, 12)


def test_a_budget_ends_with_the_space(tmp_path: Path) -> None:
    text = GOOD.replace("lr_ssm = {low = 1e-4, high = 1e-2, log = true}\n", "").replace("trials = 5", "trials = 50")
    search = planned(tmp_path, text).search
    assert search is not None and search.tune.trials == 3 * 2


def test_smoke_is_a_tiny_search(tmp_path: Path) -> None:
    search = planned(tmp_path, smoke=True).search
    assert search is not None and search.trials == {TUNING: 2, CONFIRMATION: 1}


def test_set_reaches_into_a_search(tmp_path: Path) -> None:
    search = planned(tmp_path, settings=["tune.trials=7", "tune.method=random"]).search
    assert search is not None and (search.tune.trials, search.tune.method) == (7, "random")


def test_only_keeps_whole_arms(tmp_path: Path) -> None:
    kept = only(planned(tmp_path), ["basis=legt"]).search
    assert kept is not None and [arm.title for arm in kept.arms] == ["basis legt"]
    with pytest.raises(UsageError, match="choose their seeds"):
        only(planned(tmp_path), ["seed=0"])


def test_a_pruner_and_a_learning_sampler_take_one_configuration_at_a_time(tmp_path: Path) -> None:
    batches = []
    for change in ("", 'pruner = "asha"', "batch = 3"):
        search = planned(tmp_path, GOOD.replace('"tpe"', f'"random"\n{change}')).search
        assert search is not None
        batches.append(search.tune.batch)
    assert batches == [5, 1, 3]


TUNE = "line 12: "
LR = "{low = 1e-4, high = 1e-2, log = true}"
MALFORMED = {
    "unknown method": ('"tpe"', '"tpi"', TUNE + "Unknown method in [tune] 'tpi'. Did you mean 'tpe'"),
    "no method": ('method = "tpe"\n', "", "line 11: tune.method is missing. Choose one of: grid"),
    "no budget": ("trials = 5\n", "", "line 11: tune.trials is missing"),
    "an empty budget": ("trials = 5", "trials = 0", "line 13: tune.trials is 0; it must be an integer of at least 1"),
    "a fraction of a trial": ("trials = 5", "trials = 2.5", "line 13: tune.trials is 2.5"),
    "no seeds": ("trials = 5", "trials = 5\nseeds = 0", "line 14: tune.seeds is 0"),
    "no parameter": (GOOD[GOOD.index("lr_ssm") :], "", "line 11: [tune] names no parameter"),
    "a typo in a parameter": ("lr_ssm", "lr_sm", "line 14: Unknown parameter in [tune] 'lr_sm'. Did you mean 'lr_ssm'"),
    "an axis that is none": (
        "model.dropout",
        "modell.dropout",
        "line 16: Unknown parameter in [tune] 'modell.dropout'",
    ),
    "a path that does not exist": (
        "model.dropout",
        "model.drop",
        "line 16: in [tune]: The model 's4' has no parameter 'drop'",
    ),
    "a whole axis": (
        "model.dropout = [0.0, 0.1]",
        'basis = ["legs", "legt"]',
        "line 16: tune.basis: name one parameter",
    ),
    "the task": ("model.dropout", "task.lag", "line 16: tune.task.lag: a search may not change the task"),
    "low above high": ("low = 1e-4", "low = 1", "line 14: tune.lr_ssm: low is 1, not below high, which is 0.01"),
    "low is missing": ("low = 1e-4, ", "", "line 14: tune.lr_ssm: low is None; a range needs finite numbers"),
    "a logarithm of nothing": ("low = 1e-4", "low = 0", "line 14: tune.lr_ssm: low is 0, but a logarithmic range"),
    "a word in a range": ("log = true", "logg = true", "line 14: tune.lr_ssm has no 'logg'. Did you mean 'log'"),
    "log and step": ("log = true", "log = true, step = 1e-3", "a logarithmic range has no step"),
    "a step too wide": ("high = 3}", "high = 3, step = 7}", "line 15: tune.model.n_layers: step is 7"),
    "an empty list": ("[0.0, 0.1]", "[]", "line 16: tune.model.dropout is empty"),
    "one choice": ("[0.0, 0.1]", "[0.1]", "line 16: tune.model.dropout is [0.1]; give at least two choices"),
    "a choice twice": ("[0.0, 0.1]", "[0.1, 0.1]", "line 16: tune.model.dropout is [0.1, 0.1]; give at least two"),
    "a table as a choice": ("[0.0, 0.1]", "[{a = 1}, 0.1]", "its choices must be finite numbers"),
    "a single value": ("[0.0, 0.1]", "0.1", "line 16: tune.model.dropout is 0.1; give a list of choices"),
    "a value that cannot be": ("[0.0, 0.1]", "[0.0, 1.5]", "line 16: in [tune]: model.dropout is 1.5"),
    "a grid of a continuum": ('"tpe"', '"grid"', "line 14: tune.lr_ssm is a continuous range, of which a grid has no"),
    "cmaes with a list": ('"tpe"', '"cmaes"', "line 16: tune.model.dropout is a list, but cmaes"),
    "an unknown pruner": ("trials = 5", 'trials = 5\npruner = "ash"', "line 14: Unknown pruner in [tune] 'ash'"),
    "a pruner over the steps": (
        "model.dropout = [0.0, 0.1]",
        'pruner = "asha"\ntraining.steps = [10, 20]',
        "line 17: tune.training.steps: a pruner compares trials at the same steps",
    ),
    "fixed and tuned": ("{steps = 40}", "{steps = 40, lr_ssm = 1e-3}", "line 14: training.lr_ssm stands under [fixed]"),
    "compared and tuned": (
        'basis = ["legs", "legt"]',
        'basis = ["legs"]\nmodel.dropout = [0.0, 0.2]',
        "line 17: model.dropout stands under [compare] and under [tune]",
    ),
    "one parameter twice": (
        f"lr_ssm = {LR}",
        f"lr_ssm = {LR}\ntraining.lr_ssm = [1e-3, 1e-2]",
        "which are one parameter",
    ),
    "a timing": ('expect = "This."', 'expect = "This."\nkind = "throughput"', "[tune] is for kind 'train'"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_search_is_one_sentence_with_its_line(case: str, tmp_path: Path) -> None:
    old, new, sentence = MALFORMED[case]
    text = GOOD.replace(old, new)
    if case == "a timing":
        text = text.replace(text[text.index("[fixed]") : text.index("[compare]")], "")
    assert text != GOOD
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, text)
    message = str(caught.value)
    assert sentence in message, message
    assert message.startswith(str(tmp_path / "study.toml")) and "\n" not in message


def test_plan_shows_arms_budget_and_confirmation(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(GOOD)
    script = f"import sys; from harness.cli import app\ntry: app(['plan', {str(tmp_path / 'study.toml')!r}])\n"
    script += "finally: print('HEAVY', [name for name in ('optuna', 'torch') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "HEAVY []" in ran.stdout
    assert "2 x 5 + 2 x 3 = 16 trials, 16 to run" in ran.stdout
    assert ran.stdout.count("5       0      3") == 2


def test_plan_lists_the_jobs_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(GOOD)
    command = [sys.executable, "-m", "harness", "plan", "study.toml", "--json"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    jobs = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(job["ablation"]["arm"]["basis"], job["ablation"]["tune"]["index"]) for job in jobs] == [
        ("legs", 0),
        ("legt", 0),
    ]
