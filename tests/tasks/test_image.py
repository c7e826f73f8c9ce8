"""Image: splits, pixels and what is said about a file that is not right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks import image
from harness.tasks.files import digest, write_arrays
from harness.tasks.image import Image
from harness.tasks.image_files import check, read_images
from harness.tasks.sequences import Sequences

Images = dict[str, np.ndarray]


def pixels(data: Any, split: str) -> np.ndarray:
    """The gray levels behind a split (n, 1024): the normalisation undone, exact after rounding."""
    batches = [data.train_batch(step, 1, 0) for step in range(data.sizes["train"])] if split == "train" else None
    x = torch.cat([batch.x for batch in batches or data.evaluation(split, 1000)])
    return np.rint(x[..., 0].numpy() * 61.0 + 122.6).astype(int)


def rows(images: np.ndarray) -> set[bytes]:
    return {np.asarray(image, dtype=np.uint8).tobytes() for image in images}


def test_pixels_are_normalised_as_in_the_official_code(small_root: Path, images: Images) -> None:
    batch = next(Image(val=20).open(small_root, 0).evaluation("test", 40))
    row = next(
        row
        for row in range(40)
        if abs(pixels(Image(val=20).open(small_root, 0), "test")[0] - images["x_test"][row]).max() == 0
    )
    expected = (images["x_test"][row] / 255 - 122.6 / 255) / (61 / 255)
    # Two float32 roundings of numbers below 3, and the float32 form of 122.6.
    assert np.abs(batch.x[0, :, 0].numpy() - expected).max() < 4 * 3 * np.finfo(np.float32).eps
    assert batch.y[0] == images["y_test"][row]


def test_train_and_val_divide_the_training_images(small_root: Path, images: Images) -> None:
    data = Image(val=20).open(small_root, seed=4)
    train, val = rows(pixels(data, "train")), rows(pixels(data, "val"))
    assert len(train) == 100 and len(val) == 20
    assert train | val == rows(images["x_train"])


def test_labels_stay_with_their_images(small_root: Path, images: Images) -> None:
    label = {image.tobytes(): int(y) for image, y in zip(images["x_train"], images["y_train"], strict=True)}
    data = Image(val=20).open(small_root, seed=4)
    y = next(data.evaluation("val", 20)).y.tolist()
    assert [label[row.astype(np.uint8).tobytes()] for row in pixels(data, "val")] == y


def test_the_seed_decides_split_and_subset_but_not_the_test_images(small_root: Path) -> None:
    one, other = (Image(train=30, val=20, test=15).open(small_root, seed) for seed in (1, 2))
    assert rows(pixels(one, "train")) != rows(pixels(other, "train"))
    assert rows(pixels(one, "val")) != rows(pixels(other, "val"))
    assert (pixels(one, "test") == pixels(other, "test")).all() and one.sizes["test"] == 15


def test_a_larger_subset_holds_the_smaller_and_keeps_the_validation_images(small_root: Path) -> None:
    small, large = (Image(train=size, val=20).open(small_root, 1) for size in (30, 60))
    assert rows(pixels(small, "train")) < rows(pixels(large, "train"))
    assert rows(pixels(small, "val")) == rows(pixels(large, "val"))


def test_references_are_chance_and_the_commonest_training_label(tmp_path: Path, images: Images) -> None:
    images["y_train"][:90] = 7
    images["y_test"][:20], images["y_test"][20:] = 7, 3
    write_arrays(tmp_path / "cifar10_gray.npz", images)
    assert Image(val=20).open(tmp_path, 0).references() == {"chance": 0.1, "majority": 0.5}


def test_a_copy_that_nobody_knows_is_labelled_unverified_and_not_lossy(small_root: Path) -> None:
    assert Image(val=20).provenance(small_root).labels == ("unverified copy of CIFAR-10",)


def test_a_copy_that_is_known_to_be_lossy_is_labelled_so(small_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(image.LOSSY, digest(small_root / "cifar10_gray.npz"), "lossy images (known)")
    assert Image(val=20).provenance(small_root).labels == ("lossy images (known)",)


def test_labels_name_the_subset(small_root: Path) -> None:
    assert Image(train=2000, test=1000).provenance(small_root).labels[1:] == (
        "subset of 2,000 training images",
        "subset of 1,000 test images",
    )


def test_the_fingerprint_changes_with_one_pixel_and_with_a_parameter(tmp_path: Path, images: Images) -> None:
    one, same, other = tmp_path / "one", tmp_path / "same", tmp_path / "other"
    write_arrays(one / "cifar10_gray.npz", images)
    write_arrays(same / "cifar10_gray.npz", images)
    images["x_train"][3, 5] ^= 1
    write_arrays(other / "cifar10_gray.npz", images)
    marks = [Image().provenance(root).fingerprint for root in (one, other)]
    assert Image().provenance(one).fingerprint == marks[0] and marks[0] != marks[1]
    assert Image(train=10).provenance(one).fingerprint != marks[0]


def test_a_missing_file_says_where_to_get_it_and_what_it_holds(tmp_path: Path) -> None:
    made_of = (
        r"Get it from .*cs\.toronto\.edu.*x_train \(50000, 1024\).*19595 R \+ 38470 G \+ 7471 B.*y_test \(10000,\)"
    )
    with pytest.raises(EnvironmentProblem, match=rf"'image' needs cifar-10-binary\.tar\.gz.*{made_of}"):
        Image().provenance(tmp_path)
    with pytest.raises(EnvironmentProblem, match="--data-root"):
        Image().open(None, 0)


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("x_train", np.zeros((120, 32, 32), np.uint8), "x_train is uint8 (120, 32, 32); expected uint8 (n, 1024)"),
        ("x_test", np.zeros((40, 1024)), "x_test is float64 (40, 1024); expected uint8 (n, 1024)"),
        ("y_train", np.zeros(7, int), "y_train is int64 (7,); expected integers (120,)"),
        ("y_test", np.zeros(40), "y_test is float64 (40,); expected integers (40,)"),
        ("y_train", np.full(120, 10), "y_train has labels 10 to 10; expected 0 to 9"),
        ("y_train", np.full(120, -1), "y_train has labels -1 to -1; expected 0 to 9"),
    ],
)
def test_a_wrong_array_is_one_sentence_that_names_it(
    tmp_path: Path, images: Images, name: str, wrong: np.ndarray, sentence: str
) -> None:
    path = tmp_path / "cifar10_gray.npz"
    write_arrays(path, {**images, name: wrong})
    with pytest.raises(UsageError, match=re.escape(f"{path}: {sentence}")):
        Image(val=20).open(tmp_path, 0)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [({"val": 120}, "120 training images, but task.train and task.val take 121"), ({"test": 41}, "40 test images")],
)
def test_a_file_with_too_few_images_is_one_sentence(
    small_root: Path, parameters: dict[str, int], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        Image(**{"val": 20, **parameters}).open(small_root, 0)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"train": 0}, "task.train is 0; it must be at least 1."),
        ({"val": 0}, "task.val is 0; it must be at least 1."),
        ({"test": -5}, "task.test is -5; it must be at least 1."),
        ({"train": 45_001}, "task.train + task.val is 50001, but CIFAR-10 has 50000 training images."),
        ({"test": 10_001}, "task.test is 10001, but CIFAR-10 has 10000 test images."),
    ],
)
def test_a_bad_parameter_is_one_sentence(parameters: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        Image(**parameters)


def test_verification_counts_images_and_classes(tmp_path: Path, images: Images, small_root: Path) -> None:
    with pytest.raises(UsageError, match="x_train holds 120 images; CIFAR-10 has 50000"):
        check(small_root / "cifar10_gray.npz")
    y = np.arange(50_000) % 10
    y[0] = 1
    whole = {
        "x_train": np.zeros((50_000, 1024), np.uint8),
        "y_train": y,
        "x_test": np.zeros((10_000, 1024), np.uint8),
        "y_test": np.arange(10_000) % 10,
    }
    write_arrays(tmp_path / "mislabelled.npz", whole)
    with pytest.raises(UsageError, match=r"y_train has \[4999, 5001,.*images per class; CIFAR-10 has 5000"):
        check(tmp_path / "mislabelled.npz")


def test_the_real_file_is_cifar10_in_gray(data_root: Path) -> None:
    path = data_root / "cifar10_gray.npz"
    whole = "50,000 training and 10,000 test images, 5,000 and 1,000 of every class"
    assert check(path) == f"{whole}, lossy images (JPEG)"
    x = read_images(path)["x_train"]
    # The statistics stated with the file: mean 122.598, deviation 60.908, to half a unit of the last digit.
    assert x.mean() == pytest.approx(122.598, abs=5e-4) and x.std() == pytest.approx(60.908, abs=5e-4)


def test_the_real_file_is_known_to_be_lossy(data_root: Path) -> None:
    assert Image().provenance(data_root).labels == ("lossy images (JPEG)",)


def test_records_of_the_real_file_keep_their_fingerprint(data_root: Path) -> None:
    assert Image(train=8000, val=1000, test=2000).provenance(data_root).fingerprint == "92ed679ab5609cbb"


def test_the_real_file_opens_with_the_lra_sizes(data_root: Path) -> None:
    data = Image().open(data_root, seed=0)
    assert isinstance(data, Sequences)
    assert data.sizes == {"train": 45_000, "val": 5_000, "test": 10_000}
    assert data.references() == {"chance": 0.1, "majority": 0.1}
