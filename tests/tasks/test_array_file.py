"""A data set of one's own: the README's example, arrays of several forms, and what is said about wrong ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from harness.errors import EnvironmentProblem, UsageError
from harness.registry import load_plugin, lookup
from harness.tasks import TASKS
from harness.tasks.array_file import ArrayFile
from harness.tasks.inventory import inventory, verify
from harness.tasks.prepare import prepare

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Walks(ArrayFile):
    """Random walks, up or down."""

    title: ClassVar[str] = "Walks"
    name: ClassVar[str] = "walks"
    length: ClassVar[int] = 9
    classes: ClassVar[int] = 2


@dataclass(frozen=True)
class Words(ArrayFile):
    """Padded tokens."""

    title: ClassVar[str] = "Words"
    name: ClassVar[str] = "words"
    length: ClassVar[int] = 9
    classes: ClassVar[int] = 2
    vocabulary: ClassVar[int] = 5


def walks(sizes: dict[str, int] | None = None) -> Arrays:
    rng = np.random.default_rng(0)
    found = {}
    for split, size in (sizes or {"train": 40, "test": 20}).items():
        found[f"x_{split}"] = rng.standard_normal((size, 9))
        found[f"y_{split}"] = np.arange(size) % 2
    return found


def words() -> Arrays:
    rng = np.random.default_rng(0)
    found = {}
    for split, size in (("train", 40), ("val", 10), ("test", 20)):
        found[f"x_{split}"] = rng.integers(0, 5, (size, 9))
        found[f"y_{split}"] = np.arange(size) % 2
        found[f"lengths_{split}"] = rng.integers(1, 10, size)
    return found


def save(root: Path, name: str, arrays: Arrays, form: str) -> None:
    if form == "npz":
        np.savez(root / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        return
    (root / name).mkdir()
    for array, values in arrays.items():
        np.save(root / name / f"{array}.npy", values)


@pytest.fixture
def table() -> Iterator[None]:
    before = dict(TASKS)
    yield
    TASKS.clear()
    TASKS.update(before)


@pytest.mark.parametrize("form", ["npz", "folder"])
def test_an_array_file_is_a_task(tmp_path: Path, form: str) -> None:
    save(tmp_path, "walks", arrays := walks(), form)
    data = Walks().open(tmp_path, seed=1)
    assert data.sizes == {"train": 36, "val": 4, "test": 20}
    (batch,) = data.evaluation("test", 20)
    assert batch.x.shape == (20, 9, 1) and batch.x.dtype == torch.float32 and batch.lengths is None
    assert np.array_equal(batch.x[..., 0].numpy(), arrays["x_test"].astype(np.float32))
    assert batch.y.tolist() == arrays["y_test"].tolist()


def test_train_and_val_divide_the_training_examples_by_the_seed(tmp_path: Path) -> None:
    save(tmp_path, "walks", arrays := walks(), "npz")
    one, other = (Walks(val_share=0.25).open(tmp_path, seed) for seed in (1, 2))
    val = next(one.evaluation("val", 10)).x[:, :, 0]
    train = torch.cat([one.train_batch(step, 1, 0).x[..., 0] for step in range(30)])
    together = torch.cat([val, train]).numpy()
    assert sorted(map(tuple, together)) == sorted(map(tuple, arrays["x_train"].astype(np.float32)))
    assert not torch.equal(val, next(other.evaluation("val", 10)).x[:, :, 0])


def test_lengths_and_a_validation_set_are_taken_where_they_are(tmp_path: Path) -> None:
    save(tmp_path, "words", arrays := words(), "folder")
    data = Words().open(tmp_path, seed=1)
    assert data.sizes == {"train": 40, "val": 10, "test": 20}
    (batch,) = data.evaluation("val", 10)
    assert batch.lengths is not None and batch.lengths.tolist() == arrays["lengths_val"].tolist()
    assert batch.x.dtype == torch.int64 and batch.x.tolist() == arrays["x_val"].tolist()


def test_preparing_listing_and_verifying_take_it_like_any_other(tmp_path: Path, table: None) -> None:
    save(tmp_path, "walks", walks(), "npz")
    TASKS["walks"] = Walks
    assert prepare(Walks(), tmp_path).entry is not None
    (row,) = [row for row in inventory(tmp_path) if row.task == "walks"]
    assert row.present and row.note == str(tmp_path / "walks.npz")
    (row,) = [row for row in verify(tmp_path) if row.task == "walks"]
    assert row.ok and row.note.startswith("40 train, 20 test; SHA-256 ")


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    marks = []
    for index in range(2):
        (root := tmp_path / str(index)).mkdir()
        save(root, "walks", {**walks(), "x_test": walks()["x_test"] + index}, "npz")
        marks.append(Walks().provenance(root).fingerprint)
    assert marks[0] != marks[1]


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"'walks' needs walks\.npz, which is at none of"):
        Walks().provenance(tmp_path)


@pytest.mark.parametrize(
    ("task", "change", "sentence"),
    [
        (Walks, {"x_test": None}, "has no array 'x_test'"),
        (Walks, {"y_train": None}, "has no array 'y_train'"),
        (Walks, {"x_train": np.zeros((40, 8))}, ": x_train is float64 (40, 8, 1); expected (n, 9, 1)."),
        (Walks, {"x_train": np.zeros((0, 9))}, ": x_train is float64 (0, 9, 1); expected (n, 9, 1)."),
        (Walks, {"x_train": np.full((40, 9), np.nan)}, ": x_train holds numbers that are not finite."),
        (Walks, {"y_train": np.full(40, 2)}, ": y_train holds 2 to 2; expected 0 to 1."),
        (Walks, {"y_train": np.zeros(40)}, ": y_train is float64 (40,); expected integers (40,)."),
        (Walks, {"x_val": np.zeros((5, 9))}, "has no array 'y_val'"),
        (Words, {"x_train": np.full((40, 9), 5)}, ": x_train has tokens 5 to 5; expected 0 to 4."),
        (Words, {"x_train": np.zeros((40, 9))}, ": x_train is float64 (40, 9); expected (n, 9)."),
        (Words, {"lengths_test": np.zeros(20, int)}, ": lengths_test holds 0 to 0; expected 1 to 9."),
        (Words, {"lengths_test": np.ones(3, int)}, ": lengths_test is int64 (3,); expected integers (20,)."),
    ],
)
@pytest.mark.parametrize("form", ["npz", "folder"])
def test_a_wrong_array_is_one_sentence_that_names_it(
    tmp_path: Path, task: type[ArrayFile], change: dict[str, Any], sentence: str, form: str
) -> None:
    arrays: dict[str, Any] = {**(walks() if task is Walks else words()), **change}
    save(tmp_path, task.name, {name: array for name, array in arrays.items() if array is not None}, form)
    with pytest.raises(UsageError, match=re.escape(sentence)) as problem:
        task().open(tmp_path, 0)
    assert str(problem.value).startswith(str(tmp_path / task.name))


def test_a_damaged_folder_names_the_file(tmp_path: Path) -> None:
    save(tmp_path, "walks", walks(), "folder")
    (tmp_path / "walks" / "x_test.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UsageError, match=r"walks/x_test\.npy cannot be read as an array"):
        Walks().open(tmp_path, 0)


def test_the_readme_s_example_is_a_task(tmp_path: Path, table: None) -> None:
    example = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "ArrayFile" in block)
    (tmp_path / "own_gestures.py").write_text(example)
    load_plugin(str(tmp_path / "own_gestures.py"))
    task = lookup("task", TASKS, "gestures")()
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    for split, size in (("train", 30), ("test", 10)):
        arrays[f"x_{split}"] = rng.standard_normal((size, task.length, task.channels))
        arrays[f"y_{split}"] = rng.integers(0, task.classes, size)
    save(tmp_path, task.name, arrays, "npz")
    batch = task.open(tmp_path, 0).train_batch(0, 4, 0)
    assert batch.x.shape == (4, task.length, task.channels) and task.provenance(tmp_path).kind == "real"
