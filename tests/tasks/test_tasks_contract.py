"""What every registered task promises, at a small size."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.registry import build, choice, lookup
from harness.tasks import TASKS
from harness.tasks.task import Batch, Data, Task

SMALL: dict[str, dict[str, Any]] = {
    "listops": {"min_length": 5, "max_length": 30, "max_depth": 4, "train": 60, "val": 25, "test": 25},
    "image": {"train": 50, "val": 30, "test": 25},
    "pathfinder": {"difficulty": "easy", "train": 50, "val": 30, "test": 25},
    "pathx": {"difficulty": "easy", "train": 24, "val": 8, "test": 8},
    "delay": {"length": 40, "lag": 10, "examples": 48, "evaluation_examples": 25},
}
"""Parameters that make a task small; a task that is not here is tested as it comes."""


def small(name: str) -> Task:
    task: Task = lookup("task", TASKS, name)(**SMALL.get(name, {}))
    return task


def answers(task: Task, batch: Batch) -> torch.Tensor:
    """Arbitrary outputs of the right shape, the same for the same batch size."""
    shape = (*batch.x.shape[: 2 if task.per_step else 1], task.outputs)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def same(one: Batch, other: Batch) -> bool:
    pairs = ((one.x, other.x), (one.y, other.y), (one.lengths, other.lengths))
    return all(a is b is None or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


@pytest.fixture(params=list(TASKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def task(name: str) -> Task:
    return small(name)


@pytest.fixture
def data(task: Task, small_root: Path) -> Data:
    return task.open(small_root, seed=3)


def test_a_task_is_rebuilt_from_its_choice(name: str, task: Task) -> None:
    assert build("task", TASKS, choice(name, task)) == task


def test_the_encoder_reads_what_inputs_says(task: Task, data: Data) -> None:
    x = data.train_batch(0, 8, order_seed=1).x
    assert len(x) == 8 and x.shape[1] <= task.max_length
    if task.inputs.kind == "tokens":
        assert x.dtype == torch.int64 and x.ndim == 2 and x.min() >= 0 and x.max() < task.inputs.size
    else:
        assert x.dtype == torch.float32 and x.shape[2] == task.inputs.size


def test_the_target_is_a_class_or_a_signal(task: Task, data: Data) -> None:
    batch = data.train_batch(0, 8, order_seed=1)
    if batch.y.dtype == torch.int64:
        assert batch.y.shape == (8,) and batch.y.min() >= 0 and batch.y.max() < task.outputs
    else:
        assert batch.y.dtype == torch.float32 and batch.y.shape == (*batch.x.shape[:2], task.outputs)


def test_a_training_batch_depends_on_seed_and_step_alone(task: Task, data: Data, small_root: Path) -> None:
    in_order = [data.train_batch(step, 8, order_seed=1) for step in range(12)]
    again = task.open(small_root, seed=3)
    backwards = [again.train_batch(step, 8, order_seed=1) for step in reversed(range(12))]
    assert all(same(one, other) for one, other in zip(in_order, reversed(backwards), strict=True))


def test_another_step_or_order_seed_is_another_batch(data: Data) -> None:
    batch = data.train_batch(0, 8, order_seed=1)
    assert not same(batch, data.train_batch(1, 8, order_seed=1))
    assert not same(batch, data.train_batch(0, 8, order_seed=2))


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_gives_every_example_once_in_a_fixed_order(data: Data, split: str) -> None:
    size = data.sizes[split]
    (whole,) = data.evaluation(split, size)
    parts = list(data.evaluation(split, 7))
    assert [len(part.x) for part in parts] == [7] * (size // 7) + [size % 7] * (size % 7 > 0)
    assert torch.equal(torch.cat([part.x for part in parts]), whole.x)
    assert torch.equal(torch.cat([part.y for part in parts]), whole.y)
    assert len(torch.unique(whole.x, dim=0)) == size


def test_val_and_test_share_no_example_with_each_other_or_with_training(data: Data) -> None:
    val, test = (next(data.evaluation(split, 1000)).x for split in ("val", "test"))
    train = torch.cat([data.train_batch(step, 8, 3).x for step in range(data.steps_per_epoch(8))])
    together = torch.cat([val, test, torch.unique(train, dim=0)])
    assert len(torch.unique(together, dim=0)) == len(together)


def test_the_mean_of_score_is_the_loss(task: Task, data: Data) -> None:
    batch = data.train_batch(0, 8, order_seed=1)
    outputs = answers(task, batch)
    total, count = task.score(outputs, batch)["loss"]
    rounding = 8 * torch.finfo(torch.float32).eps * math.log2(batch.y.numel() + 2)
    assert total / count == pytest.approx(float(task.loss(outputs, batch)), rel=rounding)


def test_the_loss_has_a_gradient_everywhere(task: Task, data: Data) -> None:
    batch = data.train_batch(0, 8, order_seed=1)
    outputs = answers(task, batch).requires_grad_()
    task.loss(outputs, batch).backward()
    assert outputs.grad is not None and (outputs.grad != 0).all()


def test_scores_of_parts_add_up_to_the_score_of_the_whole(task: Task, data: Data) -> None:
    whole = next(data.evaluation("test", 1000))
    outputs = answers(task, whole)
    start, sums = 0, dict.fromkeys(task.score(outputs, whole), 0.0)
    for part in data.evaluation("test", 7):
        for key, (total, _) in task.score(outputs[start : start + len(part.x)], part).items():
            sums[key] += total
        start += len(part.x)
    rounding = 8 * torch.finfo(torch.float32).eps * math.log2(whole.y.numel())
    assert sums == pytest.approx({key: total for key, (total, _) in task.score(outputs, whole).items()}, rel=rounding)


def test_the_summary_holds_the_loss_and_the_primary_metric(task: Task, data: Data) -> None:
    batch = data.train_batch(0, 8, order_seed=1)
    means = {key: total / count for key, (total, count) in task.score(answers(task, batch), batch).items()}
    assert {"loss", task.primary} <= set(task.summary(means))


def test_references_are_finite_and_the_same_for_every_opening(task: Task, data: Data, small_root: Path) -> None:
    references = data.references()
    assert references and all(math.isfinite(value) for value in references.values())
    assert references == task.open(small_root, seed=3).references()


def test_the_fingerprint_is_the_same_for_the_same_data(name: str, task: Task, small_root: Path) -> None:
    assert task.provenance(small_root) == small(name).provenance(small_root)


def test_parameters_and_provenance_need_no_torch(name: str, small_root: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.registry import lookup\n"
        "from harness.tasks import TASKS\n"
        f"task = lookup('task', TASKS, {name!r})(**{SMALL.get(name, {})!r})\n"
        f"assert task.provenance(Path({str(small_root)!r})).fingerprint\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
