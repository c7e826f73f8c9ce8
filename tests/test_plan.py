"""Planning is pure, complete and refuses what could not run, in one sentence."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.ablation import read
from harness.errors import UsageError
from harness.plan import only, plan
from harness.spec import comparable

ROOT = Path(__file__).resolve().parent.parent
GOOD = """
question = "Which?"
expect = "This."
repeats = 2

[fixed]
task = {name = "delay", length = 64, lag = 16}
model = {d_model = 4, d_state = 8, n_layers = 1}

[compare]
basis = ["legs", "legt"]
dt = [{min = 0.1, max = 0.1}, {min = 1e-3, max = 1e-1}]
primary = "dt[1]: legt - legs"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_a_plan_crosses_the_axes_and_the_seeds(tmp_path: Path) -> None:
    planned = plan(read(written(tmp_path, GOOD)))
    assert len(planned.trials) == 2 * 2 * 2
    assert planned.levels == {"basis": ("legs", "legt"), "dt": ("0.1", "0.001..0.1")}
    assert [trial.seed for trial in planned.trials] == [0] * 4 + [1] * 4


def test_the_same_file_gives_the_same_ids(tmp_path: Path) -> None:
    first, second = (plan(read(written(tmp_path, GOOD))) for _ in range(2))
    assert [t.trial_id for t in first.trials] == [t.trial_id for t in second.trials]
    assert len({t.trial_id for t in first.trials}) == 8


def test_an_id_is_the_hash_of_the_sorted_json_without_what_came_later(tmp_path: Path) -> None:
    for trial in plan(read(written(tmp_path, GOOD))).trials:
        spec = json.loads(json.dumps(trial.as_json()))
        assert comparable(spec) != spec
        assert spec["training"].pop("compile") is False and comparable(spec) == spec
        text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
        assert trial.trial_id == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_a_compiled_trial_has_another_id(tmp_path: Path) -> None:
    plain, other = (plan(read(written(tmp_path, GOOD), one)).trials[0] for one in ([], ["training.compile=true"]))
    assert other.trial_id != plain.trial_id


def test_ids_survive_the_process(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    ran = subprocess.run(
        [sys.executable, "-m", "harness", "plan", str(path), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    ids = [json.loads(line)["trial_id"] for line in ran.stdout.splitlines()]
    assert ids == [trial.trial_id for trial in plan(read(path)).trials]


def test_a_spec_is_complete_and_its_defaults_are_written_out(tmp_path: Path) -> None:
    spec = next(iter(plan(read(written(tmp_path, GOOD))).jobs()))["spec"]
    assert spec["model"]["discretization"] == "bilinear"
    assert spec["model"]["n_ssm"] == 4
    assert spec["training"]["lr_dt"] == spec["training"]["lr_ssm"]
    assert all("version" in spec[axis] for axis in ("task", "basis", "dt", "model", "backend", "training"))


def test_spelling_a_default_changes_no_id(tmp_path: Path) -> None:
    plain = plan(read(written(tmp_path, GOOD)))
    spelt = plan(
        read(
            written(
                tmp_path,
                GOOD.replace("n_layers = 1", "n_layers = 1, rank_ = 0".replace(", rank_ = 0", ", structure = 'dplr'")),
            )
        )
    )
    assert [t.trial_id for t in plain.trials] == [t.trial_id for t in spelt.trials]


def test_an_integer_where_a_float_stands_changes_no_id(tmp_path: Path) -> None:
    texts = [GOOD.replace("n_layers = 1", f"n_layers = 1, dropout = {zero}") for zero in ("0", "0.0")]
    first, second = (plan(read(written(tmp_path, text))) for text in texts)
    assert first.trials[0].trial_id == second.trials[0].trial_id


def test_set_overrides_a_key_and_the_id(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    changed = plan(read(path, ["training.steps=7", "repeats=1"]))
    assert {trial.choices["training"]["steps"] for trial in changed.trials} == {7}
    assert len(changed.trials) == 4


def test_only_keeps_the_trials_of_a_level(tmp_path: Path) -> None:
    planned = plan(read(written(tmp_path, GOOD)))
    assert len(only(planned, ["basis=legs", "seed=1"]).trials) == 2
    assert len(only(planned, ["seed=0", "basis=legs", "seed=1"]).trials) == 4
    with pytest.raises(UsageError, match="Did you mean 'leg"):
        only(planned, ["basis=leg"])


def test_smoke_is_a_tiny_run_of_every_cell(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    planned = plan(read(path, smoke=True), smoke=True)
    assert planned.ablation.name == "study-smoke"
    assert len(planned.trials) == 4
    assert planned.trials[0].choices["training"]["steps"] == 2


def test_a_dotted_axis_varies_one_parameter(tmp_path: Path) -> None:
    text = GOOD.replace('basis = ["legs", "legt"]', 'basis = ["legs"]\nmodel.d_state = [8, 16]').replace(
        'primary = "dt[1]: legt - legs"', 'primary = "16 - 8"'
    )
    planned = plan(read(written(tmp_path, text)))
    assert {trial.choices["model"]["d_state"] for trial in planned.trials} == {8, 16}


MALFORMED = {
    "unknown basis": ('"legt"]', '"legz"]', "line 11: Unknown basis 'legz'. Did you mean 'leg"),
    "typo in a key": (
        "n_layers",
        "n_layer",
        "line 8: The model 's4' has no parameter 'n_layer'. Did you mean 'n_layers'",
    ),
    "typo at the top": ("repeats", "repeat", "line 4: unknown key 'repeat'. Did you mean 'repeats'"),
    "dt.min above dt.max": ("min = 1e-3, max = 1e-1", "min = 1e-1, max = 1e-3", "line 12: dt.min is 0.1, above dt.max"),
    "negative size": ("d_state = 8", "d_state = -8", "line 8: model.d_state is -8; it must be at least 1"),
    "empty axis": ('["legs", "legt"]', "[]", "line 11: compare.basis is empty"),
    "wrong type": (
        "d_state = 8",
        'd_state = "eight"',
        'line 8: model.d_state is "eight": input should be a valid integer',
    ),
    "bad TOML": ('question = "Which?"', "question = Which?", "not valid TOML"),
    "LegT with rank 1": (
        "n_layers = 1",
        "n_layers = 1, rank = 1",
        "line 11: model.rank is 1, but the basis 'legt' needs rank 2",
    ),
    "an axis that no component has": ("basis = [", "base = [", "line 11: Unknown axis 'base'. Did you mean 'basis'"),
    "no task": ('task = {name = "delay", length = 64, lag = 16}', "", "no task is chosen"),
    "a level twice": ('["legs", "legt"]', '["legs", "legs"]', "line 11: compare.basis has 'legs' twice"),
    "a form the basis lacks": ("n_layers = 1", 'n_layers = 1, structure = "diagonal"', "has no diagonal form"),
    "primary names no level": ("legt - legs", "fout - legs", "line 13: Unknown level in primary 'fout'"),
    "repeats of zero": ("repeats = 2", "repeats = 0", "line 4: repeats is 0"),
    "primary is no text": ('"dt[1]: legt - legs"', "5", "line 13: primary is 5; write it as"),
    "primary of one level": (
        "legt - legs",
        "legs - legs",
        "line 13: primary = 'dt[1]: legs - legs': a level minus itself",
    ),
    "an infinite number": (
        "n_layers = 1",
        "n_layers = 1, dropout = 0.0, b_clip = inf",
        "line 8: model holds inf or nan",
    ),
    "a tolerance for nothing": ("repeats = 2", "repeats = 2\ntolerance = 0.1", "line 5: tolerance is for backends"),
    "fixed and compared": ("[compare]", 'basis = "legs"\n[compare]', "under [fixed] and under [compare]"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_one_sentence_with_its_line(case: str, tmp_path: Path) -> None:
    old, new, sentence = MALFORMED[case]
    assert old in GOOD
    with pytest.raises(UsageError) as caught:
        plan(read(written(tmp_path, GOOD.replace(old, new))))
    message = str(caught.value)
    assert sentence in message, message
    assert message.startswith(str(tmp_path / "study.toml"))
    assert "\n" not in message or case == "bad TOML"


@pytest.mark.parametrize("case", ["unknown basis", "bad TOML", "missing file"])
def test_the_command_ends_with_code_2_and_no_traceback(case: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    if case != "missing file":
        old, new, _ = MALFORMED[case]
        path.write_text(GOOD.replace(old, new))
    ran = subprocess.run(
        [sys.executable, "-m", "harness", "plan", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ran.stderr + ran.stdout


def test_a_plan_of_100_000_trials_takes_under_5_seconds(tmp_path: Path) -> None:
    text = GOOD.replace("repeats = 2", "repeats = 25000")
    started = time.process_time()
    assert len(list(plan(read(written(tmp_path, text))).jobs())) == 100_000
    assert time.process_time() - started < 5


def test_smoke_leaves_a_wrong_type_to_validation(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("[compare]", 'training = {steps = "many"}\n[compare]'))
    with pytest.raises(UsageError, match=r'training\.steps is "many"'):
        plan(read(path, smoke=True), smoke=True)


def test_jobs_carry_the_overrides_and_the_seeds_really_planned(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    shared = next(plan(read(path, ["training.steps=7"], smoke=True), smoke=True).jobs())["ablation"]
    assert (shared["settings"], shared["repeats"], shared["smoke"]) == (["training.steps=7"], 1, True)


def test_an_override_of_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="make it a table"):
        read(written(tmp_path, 'question = "a"\nexpect = "b"\nfixed = 3\n'), ["training.steps=3"])
