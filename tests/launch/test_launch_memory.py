"""Memory that runs out: once more with less of it, the effective batch kept, and recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import trial_toys as toys
from launch_toy import ends, job, options, rows, steps, sweep

from harness import records
from harness.cli.running import FAILURES, _ended
from harness.cli.running import retry as command
from harness.errors import UsageError
from harness.launch.attempts import earlier
from harness.launch.queue import due
from harness.launch.sweep import run
from harness.records import STATUSES
from harness.trial import run as run_trial

pytestmark = pytest.mark.fault


def test_a_trial_is_tried_once_more_within_the_run(tmp_path: Path) -> None:
    toy = sweep(tmp_path, job(1, fault="no_memory", once=True, steps=3), max_attempts=9)
    assert run([toy], options()) == 0
    [again] = [row for row in rows(tmp_path, 1) if row["row"] == "attempt"]
    assert [end["status"] for end in again["history"]] == ["out_of_memory"]
    assert (steps(tmp_path, 1), ends(tmp_path, 1)) == ([0, 1, 2], ["done"])


def test_a_trial_for_which_it_never_suffices_ends_after_the_second_attempt(tmp_path: Path) -> None:
    toy = sweep(tmp_path, job(1, fault="no_memory"), max_attempts=9)
    for _ in range(2):
        assert run([toy], options()) == 1
        assert records.scan(tmp_path)[f"{1:012x}"].status == "out_of_memory"
        assert records.scan(tmp_path)[f"{1:012x}"].attempts == 2
    run([toy], options(retry_statuses=("out_of_memory",)))
    assert records.scan(tmp_path)[f"{1:012x}"].attempts == 3


PETABYTE = 1 << 50
"""More than any machine has, and than a process can address: the system itself refuses it."""


def starving(monkeypatch: pytest.MonkeyPatch, device: str = "cpu") -> None:
    """From here on a loss needs more memory than there is for more than two examples at a time."""
    enough = toys.Toy.loss

    def loss(self: toys.Toy, output: torch.Tensor, batch: Any) -> torch.Tensor:
        if len(batch.y) > 2:
            torch.empty(PETABYTE, dtype=torch.uint8, device=device)
        return enough(self, output, batch)

    monkeypatch.setattr(toys.Toy, "loss", loss)


def attempts(folder: Path, number: int) -> records.Record:
    """The record after so many attempts at a trial in batches of 4, without dropout and batch statistics."""
    plain = {"d_model": 4, "d_state": 4, "n_layers": 1, "norm": "layer", "dropout": 0.0}
    recipe = {"steps": 3, "evaluations": 1, "batch_size": 4, "eval_batch_size": 2}
    one = toys.job(model=toys.chosen("model", "s4", **plain), training=toys.chosen("training", "adamw", **recipe))
    for attempt in range(1, number + 1):
        past = earlier(folder, one["trial_id"]).history
        writer = records.Writer(folder, one["trial_id"])
        run_trial(one, writer.write, kept_rows=0, attempt=attempt, history=past, threads=1)
        writer.close()
    return records.read(folder / f"{one['trial_id']}.jsonl")


NEEDS_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.mark.parametrize("device", [pytest.param("cpu", id="host"), pytest.param("cuda", marks=NEEDS_A_GPU)])
def test_the_second_attempt_fits_is_the_same_trial_and_says_how(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.register(monkeypatch)
    plenty = attempts(tmp_path / "plenty", 1)
    starving(monkeypatch, device)
    short = attempts(tmp_path / "short", 1)
    assert short.status == "out_of_memory" and short.end and "allocate" in short.end["reason"]
    second = attempts(tmp_path / "scarce", 2)
    assert second.status == "done", second.end
    assert second.header["spec"] == plenty.header["spec"]
    [row] = [one for one in second.rows if one["row"] == "attempt"]
    assert row["accumulate"] == 2
    assert earlier(tmp_path / "scarce", second.trial_id).history[-1] == {
        "status": "done",
        "reason": "",
        "accumulate": 2,
    }


def test_the_first_step_in_micro_batches_has_the_loss_and_gradient_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.register(monkeypatch)
    plenty = attempts(tmp_path / "plenty", 1)
    starving(monkeypatch)
    second = attempts(tmp_path / "scarce", 2)
    for name in ("loss", "grad_norm"):
        values = [
            next(
                one["value"]
                for one in record.metrics()
                if (one["name"], one["split"], one["step"]) == (name, "train", 1)
            )
            for record in (plenty, second)
        ]
        # Float32 sums of 4 x 12 positions in another order: 48 eps of what is summed, some ten times the sum.
        assert values[1] == pytest.approx(values[0], rel=480 * torch.finfo(torch.float32).eps)


def write(folder: Path, seed: int, status: str) -> None:
    writer = records.Writer(folder, f"{seed:012x}")
    writer.write({"row": "header", "schema": 1, **job(seed)})
    writer.write({"row": "end", "status": status, "reason": "", "seconds": 0.0, "attempt": 9})


@pytest.mark.parametrize("status", STATUSES)
def test_retry_tries_the_trials_of_one_status_and_no_others(tmp_path: Path, status: str) -> None:
    for seed, other in enumerate(STATUSES):
        write(tmp_path, seed, other)
    toy = sweep(tmp_path, *(job(seed) for seed in range(len(STATUSES) + 1)), max_attempts=1)
    chosen = due(_ended(toy, (status,)), options(retry_statuses=(status,)))
    assert [task["job"]["trial_id"] for task in chosen.tasks] == [f"{STATUSES.index(status):012x}"]
    assert not chosen.skipped and not chosen.used_up


def test_retry_without_a_status_tries_every_failure(tmp_path: Path) -> None:
    for seed, other in enumerate(STATUSES):
        write(tmp_path, seed, other)
    toy = sweep(tmp_path, *(job(seed) for seed in range(len(STATUSES))), max_attempts=1)
    chosen = due(_ended(toy, FAILURES), options(retry_statuses=FAILURES)).tasks
    assert {STATUSES[int(task["job"]["trial_id"], 16)] for task in chosen} == set(FAILURES)


def test_a_status_that_does_not_exist_is_one_sentence_and_exit_code_2() -> None:
    with pytest.raises(UsageError, match=r"Unknown status 'out_of_memroy'. Did you mean 'out_of_memory'\?") as told:
        command([Path("any.toml")], status=["out_of_memroy"])
    assert told.value.exit_code == 2
