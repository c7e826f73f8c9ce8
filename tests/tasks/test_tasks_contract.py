"""What every registered task promises, at a small size."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.bases import BASES
from harness.kernels import KERNELS
from harness.registry import build, choice, lookup
from harness.ssm.config import S4
from harness.ssm.model import Model
from harness.ssm.timescale import LogUniform
from harness.tasks import TASKS
from harness.tasks.task import NOT_ASKED, Batch, Data, Task

SMALL: dict[str, dict[str, Any]] = {
    "listops": {"min_length": 5, "max_length": 30, "max_depth": 4, "train": 60, "val": 25, "test": 25},
    "text": {"max_length": 50, "val": 20, "test": 25},
    "retrieval": {"max_length": 60},
    "image": {"train": 50, "val": 30, "test": 25},
    "pathfinder": {"difficulty": "easy", "train": 50, "val": 30, "test": 25},
    "pathx": {"difficulty": "easy", "train": 24, "val": 8, "test": 8},
    "delay": {"length": 40, "lag": 10, "examples": 48, "evaluation_examples": 25},
    "reconstruct": {"length": 40, "memory": 10, "reference_state": 4, "examples": 48, "evaluation_examples": 25},
    "copying": {"noise": 20, "examples": 48, "evaluation_examples": 25},
    "adding": {"length": 40, "examples": 48, "evaluation_examples": 25},
}
"""Parameters that make a task small; a task that is not here is tested as it comes."""


def small(name: str) -> Task:
    task: Task = lookup("task", TASKS, name)(**SMALL.get(name, {}))
    return task


def answers(task: Task, batch: Batch) -> torch.Tensor:
    """Arbitrary outputs of the right shape, the same for the same batch size."""
    shape = (*batch.x.shape[: 2 if task.per_step else 1], task.outputs)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def asked(batch: Batch) -> torch.Tensor:
    """Where an answer is asked for: True for whole examples, or for their steps, in the shape of `y`."""
    return batch.y != NOT_ASKED


def together(task: Task, batches: Iterable[Batch]) -> torch.Tensor:
    """The inputs of all batches, padded with zeros to one width."""
    x = [batch.x.movedim(-1 if task.inputs.kind == "tokens" else -2, 0) for batch in batches]
    longest = max(len(one) for one in x)
    padded = [torch.cat([one, one.new_zeros(longest - len(one), *one.shape[1:])]) for one in x]
    return torch.cat([one.movedim(0, -1) for one in padded])


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
    batch = data.train_batch(0, 8, order_seed=1)
    x, towers = batch.x, (2,) if task.inputs.towers == 2 else ()
    if task.inputs.kind == "tokens":
        assert x.dtype == torch.int64 and x.min() >= 0 and x.max() < task.inputs.size
    else:
        assert x.dtype == torch.float32 and x.shape[-1] == task.inputs.size
        x = x[..., 0]
    assert x.shape[:-1] == (8, *towers) and x.shape[-1] <= task.max_length
    if batch.lengths is not None:
        assert batch.lengths.dtype == torch.int64 and batch.lengths.shape == (8, *towers)
        assert batch.lengths.min() >= 1 and batch.lengths.max() == x.shape[-1]


def test_the_target_is_a_class_or_a_signal(task: Task, data: Data) -> None:
    batch = data.train_batch(0, 8, order_seed=1)
    shape = batch.x.shape[: 2 if task.per_step else 1]
    if batch.y.dtype == torch.int64:
        classes = batch.y[asked(batch)]
        assert batch.y.shape == shape and classes.min() >= 0 and classes.max() < task.outputs
    else:
        assert batch.y.dtype == torch.float32 and batch.y.shape == (*shape, task.outputs)


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
def test_evaluation_gives_every_example_once_in_a_fixed_order(task: Task, data: Data, split: str) -> None:
    size = data.sizes[split]
    (whole,) = data.evaluation(split, size)
    parts = list(data.evaluation(split, 7))
    assert [len(part.x) for part in parts] == [7] * (size // 7) + [size % 7] * (size % 7 > 0)
    assert torch.equal(together(task, parts), together(task, [whole]))
    assert torch.equal(torch.cat([part.y for part in parts]), whole.y)
    assert len(torch.unique(whole.x, dim=0)) == size


def test_val_and_test_share_no_example_with_each_other_or_with_training(task: Task, data: Data) -> None:
    held = [next(data.evaluation(split, 1000)) for split in ("val", "test")]
    train = [data.train_batch(step, 8, 3) for step in range(data.steps_per_epoch(8))]
    x = together(task, [*held, *train])
    count = sum(len(batch.y) for batch in held)
    assert len(torch.unique(x, dim=0)) == count + len(torch.unique(x[count:], dim=0))


def test_the_mean_of_score_is_the_loss(task: Task, data: Data) -> None:
    batch = data.train_batch(0, 8, order_seed=1)
    outputs = answers(task, batch)
    total, count = task.score(outputs, batch)["loss"]
    rounding = 8 * torch.finfo(torch.float32).eps * math.log2(batch.y.numel() + 2)
    assert total / count == pytest.approx(float(task.loss(outputs, batch)), rel=rounding)


def test_the_loss_has_a_gradient_wherever_an_answer_is_asked(task: Task, data: Data) -> None:
    batch = data.train_batch(0, 8, order_seed=1)
    outputs = answers(task, batch).requires_grad_()
    task.loss(outputs, batch).backward()
    assert outputs.grad is not None
    wanted = asked(batch) if batch.y.dtype == torch.int64 else torch.ones(outputs.shape[:-1], dtype=torch.bool)
    assert torch.equal((outputs.grad != 0).all(dim=-1), wanted) and torch.equal((outputs.grad != 0).any(dim=-1), wanted)


def test_a_model_takes_a_step_on_it(task: Task, data: Data) -> None:
    config = S4(d_model=4, d_state=4, n_layers=1, bidirectional=True, norm="batch", pool="last")
    parts = (lookup("basis", BASES, "legs")(), LogUniform(), lookup("kernel", KERNELS, "reference")())
    model = Model(config, *parts, task.inputs, task.outputs, task.per_step, seed=0)
    batch = data.train_batch(0, 8, order_seed=1)
    task.loss(model(batch.x, batch.lengths), batch).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


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
