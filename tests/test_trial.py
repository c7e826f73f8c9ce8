"""One trial: its rows, its endings, and that it looks at the test set once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import trial_toys as toys

from harness import records
from harness.trial import run


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    toys.register(monkeypatch)


def rows_of(job: dict[str, Any], **options: Any) -> list[records.Row]:
    rows: list[records.Row] = []
    status = run(job, rows.append, threads=1, **options)
    assert [row["row"] for row in rows[:2]] == ["resume", "header"] and rows[-1]["row"] == "end"
    assert status == rows[-1]["status"]
    return rows


def metrics(rows: list[records.Row], split: str) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if row["row"] == "metric" and row["split"] == split:
            found.setdefault(row["name"], []).append((row["step"], row["value"]))
    return found


@pytest.fixture(scope="module")
def done() -> list[records.Row]:
    with pytest.MonkeyPatch.context() as patch:
        toys.register(patch)
        toys.OPENED.clear()
        return rows_of(toys.job())


def test_the_test_set_is_opened_once_and_last(done: list[records.Row]) -> None:
    assert toys.OPENED == ["val", "val", "val", "test"]


def test_every_split_of_the_contract_has_its_rows(done: list[records.Row]) -> None:
    windows = {f"window_q{q}" for q in ("05", "25", "50", "75", "95")} | {"window_over_length"}
    groups = {f"grad_norm/{name}" for name in ("A", "B", "P", "dt", "plain", "rest")}
    assert set(metrics(done, "train")) == {"loss", "grad_norm", "lr"} | groups
    assert set(metrics(done, "val")) == set(metrics(done, "test")) == {"loss", "accuracy"}
    assert metrics(done, "reference") == {"chance": [(0, 0.5)]}
    assert set(metrics(done, "init")) == set(metrics(done, "final")) == windows
    assert set(metrics(done, "run")) == {"parameters", "first_step_s", "train_s", "eval_s", "sequences_per_s"}
    names = {row["name"] for row in done if row["row"] == "array"}
    assert names == {"dt/initial", "dt/final", "kernel/steps", "kernel/initial", "kernel/final"}


def test_evaluations_are_evenly_spaced_and_end_with_the_last_step(done: list[records.Row]) -> None:
    assert [step for step, _ in metrics(done, "val")["loss"]] == [3, 6, 9]


def test_each_evaluation_says_what_the_trial_took_of_its_machine(done: list[records.Row]) -> None:
    system = metrics(done, "system")
    assert {"cpu_utilization_percentage", "load_average"} <= set(system)
    assert {tuple(step for step, _ in series) for series in system.values()} == {(3, 6, 9)}
    (end,) = [row for row in done if row["row"] == "end"]
    # Linux adds pages to the two counts in batches, of at most 64 pages for each processor and kind of page.
    late = 64 * 3 * (os.cpu_count() or 1) * os.sysconf("SC_PAGE_SIZE")
    assert all(0 < value <= end["peak_memory_bytes"] + late for _, value in system.get("memory_bytes", []))


def test_the_header_says_what_ran(done: list[records.Row]) -> None:
    header = done[1]
    assert header["task"] == {
        "name": "toy",
        "title": "Toy",
        "suite": "synthetic",
        "primary": "accuracy",
        "higher_is_better": True,
    }
    assert header["data"] == {
        "fingerprint": "toy",
        "kind": "generated",
        "source": "drawn by the test",
        "labels": [],
    }
    assert header["backend"] == "reference" and header["device"]["threads"] == 1
    assert {"kind", "name", "flush_denormal", "deterministic"} <= set(header["device"])
    assert header["plugins"] == ["trial_toys"]


def test_the_same_job_gives_the_same_numbers(done: list[records.Row]) -> None:
    again = rows_of(toys.job())
    for split in ("train", "val", "test", "init", "final"):
        assert metrics(again, split) == metrics(done, split)


def test_auto_is_recorded_as_what_it_became() -> None:
    rows = rows_of(toys.job(backend=toys.chosen("backend", "auto"), training=toys.chosen("training", "adamw", steps=1)))
    assert rows[1]["spec"]["backend"]["name"] == "auto" and rows[1]["backend"] == "krylov"


@pytest.mark.parametrize("higher", [True, False])
def test_the_state_that_is_best_on_validation_is_the_one_tested(higher: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.4, 0.9, 0.1, 0.5] if higher else [0.4, 0.1, 0.9, 0.5])
    monkeypatch.setattr(toys.Toy, "higher_is_better", higher)
    monkeypatch.setattr(toys.Toy, "summary", lambda self, means: {**means, "accuracy": next(scores)})
    rows = rows_of(toys.job())
    losses = dict(metrics(rows, "val")["loss"])
    # The toy's test set is its validation set, so only the state of step 6 gives the loss of step 6.
    assert metrics(rows, "test")["loss"] == [(6, losses[6])]
    assert len(set(losses.values())) == 3


def test_a_loss_that_is_not_a_number_ends_the_trial_diverged_with_the_step() -> None:
    end = rows_of(toys.job(task=toys.chosen("task", "toy", poison=5)))[-1]
    assert end["status"] == "diverged"
    assert end["reason"] == "The training loss was nan at step 5; every parameter was still finite."


def test_a_gradient_that_is_not_finite_is_blamed_on_its_group() -> None:
    end = rows_of(toys.job(dt=toys.chosen("dt", "bad_slope")))[-1]
    assert end["status"] == "diverged"
    assert end["reason"].startswith("The gradient was not finite at step 1 ") and end["reason"].endswith("in: dt.")


def test_a_validation_score_that_is_not_finite_ends_the_trial_diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toys.Toy, "summary", lambda self, means: {**means, "accuracy": float("nan")})
    end = rows_of(toys.job())[-1]
    assert end["status"] == "diverged" and "accuracy on validation was nan after step 3" in end["reason"]


def test_an_unsupported_request_ends_with_the_backend_s_reasons() -> None:
    end = rows_of(toys.job(backend=toys.chosen("backend", "unable")))[-1]
    assert (end["status"], end["reason"]) == ("unsupported", "It cannot run length 12. It has no device.")


def test_an_unexpected_error_ends_with_its_type_message_and_traceback() -> None:
    end = rows_of(toys.job(backend=toys.chosen("backend", "failing", kind="KeyError", text="boom")))[-1]
    assert (end["status"], end["reason"]) == ("error", "KeyError: 'boom'")
    assert "trial_toys.py" in end["traceback"]


def test_a_user_s_mistake_ends_with_its_sentence_and_no_traceback() -> None:
    job = toys.job()
    job["spec"]["basis"]["name"] = "legz"
    end = rows_of(job)[-1]
    assert end["status"] == "error" and end["reason"].startswith("Unknown basis 'legz'. Did you mean")
    assert "traceback" not in end


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("MemoryError", ""),
        ("RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        ("RuntimeError", "CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_memory_running_out_has_its_own_status(kind: str, text: str) -> None:
    end = rows_of(toys.job(backend=toys.chosen("backend", "failing", kind=kind, text=text)))[-1]
    assert end["status"] == "out_of_memory" and "training.batch_size" in end["reason"]


def test_a_key_pressed_to_stop_the_process_ends_the_trial_interrupted() -> None:
    end = rows_of(toys.job(backend=toys.chosen("backend", "failing", kind="KeyboardInterrupt")))[-1]
    assert end["status"] == "interrupted"


def test_the_caller_s_torch_settings_are_put_back() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    rows_of(toys.job(training=toys.chosen("training", "adamw", steps=1)))
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_clipping_changes_training_but_not_the_recorded_norm_of_the_first_step(done: list[records.Row]) -> None:
    recipe = dict(toys.job()["spec"]["training"], clip_grad_norm=1e-3)
    clipped = rows_of(toys.job(training=recipe))
    norms, clipped_norms = metrics(done, "train")["grad_norm"], metrics(clipped, "train")["grad_norm"]
    # Warm-up makes the first update zero, so the first two norms are those of the same parameters.
    assert clipped_norms[:2] == norms[:2] and clipped_norms[2:] != norms[2:]
    assert min(norm for _, norm in clipped_norms) > 1e-3


def test_a_frozen_parameter_does_not_move_and_a_trained_one_does(done: list[records.Row]) -> None:
    model = toys.chosen("model", "s4", d_model=4, d_state=4, n_layers=1, train_dt=False)
    arrays = {row["name"]: row["values"] for row in rows_of(toys.job(model=model)) if row["row"] == "array"}
    assert arrays["dt/final"] == arrays["dt/initial"]
    trained = {row["name"]: row["values"] for row in done if row["row"] == "array"}
    assert trained["dt/final"] != trained["dt/initial"]


def test_a_delay_trial_learns_to_beat_the_constant() -> None:
    task = toys.chosen("task", "delay", length=40, lag=8, examples=64, evaluation_examples=32)
    rows = rows_of(
        toys.job(
            task=task,
            basis=toys.chosen("basis", "legt"),
            dt=toys.chosen("dt", "log_uniform", min=0.25, max=0.25),
            model=toys.chosen("model", "s4", d_model=4, d_state=16, n_layers=1),
            backend=toys.chosen("backend", "krylov"),
            training=toys.chosen("training", "adamw", steps=120, batch_size=16, evaluations=2),
        )
    )
    ((_, rmse),) = metrics(rows, "test")["rmse"]
    ((_, constant),) = metrics(rows, "reference")["constant"]
    ((_, zero),) = metrics(rows, "reference")["zero"]
    assert rmse < min(constant, zero)


def test_a_listops_trial_trains_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    task = toys.chosen("task", "listops", min_length=5, max_length=20, train=64, val=16, test=16)
    rows = rows_of(toys.job(task=task, training=toys.chosen("training", "adamw", steps=4, batch_size=8)))
    assert rows[-1]["status"] == "done" and len(metrics(rows, "test")["accuracy"]) == 1


def test_a_timing_goes_through_the_same_call() -> None:
    spec = {
        "kind": "throughput",
        "seed": 0,
        "timer": toys.chosen("timer", "kernel", length=32, heads=2, state=4, repeats=2, gate_heads=1, memory=False),
        "basis": toys.chosen("basis", "s4d-lin"),
        "dt": toys.chosen("dt", "log_uniform"),
    }
    rows = rows_of({"spec": spec, "trial_id": "0123456789ab", "ablation": {"name": "t"}})
    assert rows[-1]["status"] == "done"
    assert len(metrics(rows, "timing")["reference/forward_s"]) == 2
    assert all({"time", "attempt"} <= set(row) for row in rows if row["row"] == "metric")


def test_running_a_trial_needs_neither_ray_nor_mlflow_nor_pydantic() -> None:
    code = "import harness.trial, sys; print(sorted({'ray', 'mlflow', 'pydantic', 'optuna'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
