"""What an arm may take: of its own, and whether it can be enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ablation import read
from harness.cli.fitting import too_large
from harness.cli.sweeps import sweep_of
from harness.errors import EnvironmentProblem, UsageError
from harness.launch import machine
from harness.launch.options import Options, Sweep
from harness.launch.queue import due
from harness.plan import Plan, plan

FILE = """
question = "Which?"
expect = "This one."

[fixed]
task = {name = "delay", length = 1000, lag = 250}
training = {batch_size = 64, steps = 10}

[compare]
basis = ["legs", "legt"]
model.d_model = [4, 64]

[resources]
timeout_minutes = 10
memory_gib = 1
"""
LARGER = (
    '\n[[resources.arms]]\nonly = {basis = "legs", "model.d_model" = 64}\ngpus_per_trial = 0.5\ntimeout_minutes = 60\n'
)


def planned(folder: Path, text: str) -> tuple[Plan, Sweep]:
    path = folder / "study.toml"
    path.write_text(text)
    made = plan(read(path))
    return made, sweep_of(made, folder, {})


def test_an_arm_has_resources_of_its_own_and_the_others_are_untouched(tmp_path: Path) -> None:
    _, sweep = planned(tmp_path, FILE + LARGER)
    found = [(sweep.of(job).gpus_per_trial, task["timeout_s"], task["environment"])
             for job, task in zip(sweep.jobs, due(sweep, Options()).tasks, strict=True)]  # fmt: skip
    assert found == [
        (0, 600, {"CUDA_VISIBLE_DEVICES": ""}),
        (0.5, 3600, {}),
        *[(0, 600, {"CUDA_VISIBLE_DEVICES": ""})] * 2,
    ]


def test_resources_change_no_trial(tmp_path: Path) -> None:
    plain, other = (planned(tmp_path, text)[0] for text in (FILE, FILE + LARGER))
    assert [one.trial_id for one in plain.trials] == [one.trial_id for one in other.trials]


@pytest.mark.parametrize(("node", "fits"), [({"CPU": 1, "GPU": 1}, True), ({"CPU": 1}, False)])
def test_an_arm_that_no_machine_can_hold_is_refused(tmp_path: Path, node: dict[str, float], fits: bool) -> None:
    _, sweep = planned(tmp_path, FILE + LARGER)
    if fits:
        machine.refuse([sweep], [node])
    else:
        with pytest.raises(EnvironmentProblem, match=r"0.5 GPUs per trial, but .*1 CPUs and 0 GPUs"):
            machine.refuse([sweep], [node])


@pytest.mark.parametrize(
    ("only", "says"),
    [('{bases = "legs"}', "Did you mean 'basis'"), ('{basis = "legz"}', "Did you mean 'legt'"), ("{}", "at least 1")],
)
def test_resources_of_an_arm_that_is_not_compared_are_refused(tmp_path: Path, only: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        planned(tmp_path, f"{FILE}\n[[resources.arms]]\nonly = {only}\ncpus_per_trial = 2\n")


@pytest.mark.parametrize(("batch", "arms"), [(64, 0), (1600, 2)])
def test_arms_that_cannot_fit_are_named_before_they_start(tmp_path: Path, batch: int, arms: int) -> None:
    made, sweep = planned(tmp_path, FILE.replace("batch_size = 64", f"batch_size = {batch}"))
    warned = list(too_large(made, sweep, here=False))
    assert len(warned) == arms and all("model.d_model 64 cannot fit" in one for one in warned)


@pytest.mark.parametrize(("share", "mib", "arms"), [(1.0, 80_000, 0), (1.0, 1_000, 2), (0.01, 80_000, 2)])
def test_arms_that_cannot_fit_on_a_gpu_are_named_before_they_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, mib: int, arms: int
) -> None:
    """An nvidia-smi that says what one of two GPUs holds, the other being larger, stands in for the driver's."""
    query = tmp_path / "nvidia-smi"
    query.write_text(f'#!/bin/sh\ncase "$*" in *--id=0,1) echo 90000; echo {mib};; *) exit 1;; esac\n')
    query.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    text = FILE.replace("batch_size = 64", "batch_size = 1600") + f"gpus_per_trial = {share}\n"
    made, sweep = planned(tmp_path, text)
    warned = list(too_large(made, sweep, here=True))
    assert len(warned) == arms and all("its part of a GPU has" in one for one in warned)
    assert not list(too_large(made, sweep, here=False))


@pytest.mark.parametrize(("norm", "advised"), [("layer", True), ("none", True), ("batch", False)])
def test_micro_batches_are_advised_only_where_the_result_stays(norm: str, advised: bool, tmp_path: Path) -> None:
    text = FILE.replace("batch_size = 64", "batch_size = 1600").replace(
        "[compare]", f'model.norm = "{norm}"\n\n[compare]'
    )
    [first, *_] = too_large(*planned(tmp_path, text), here=False)
    assert first.endswith("Lower training.batch_size, or set training.accumulate.") == advised
    assert "Lower training.batch_size" in first


def test_accumulation_makes_an_arm_fit(tmp_path: Path) -> None:
    text = FILE.replace("batch_size = 64", "batch_size = 6400, accumulate = 100")
    assert not list(too_large(*planned(tmp_path, text), here=False))
