"""Image: CIFAR-10 in gray levels, read pixel by pixel, 1024 steps.

Legend: n images; an image is 32 x 32 gray levels 0..255, row after row.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from harness.errors import UsageError
from harness.tasks.cache import cached
from harness.tasks.classification import Classification, label_references
from harness.tasks.files import Arrays, DataFile, fingerprint, locate
from harness.tasks.image_files import CIFAR10, CLASSES, FILE, LOSSY, OFFICIAL, PIXELS, identity, read_images
from harness.tasks.task import Data, Inputs, Provenance, check_at_least

if TYPE_CHECKING:
    import torch

MEAN, DEVIATION = 122.6, 61.0
"""Gray levels; the constants of the official S4 code."""
TEST_ORDER_SEED = 0
UNVERIFIED = "unverified copy of CIFAR-10"
"""The label of every other copy: nothing here can tell whether its pixels are the original ones."""


@dataclass(frozen=True)
class Image(Classification):
    """CIFAR-10 in gray levels as sequences of 1024 pixels; 10 classes (Krizhevsky 2009; Long Range Arena)."""

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Image"
    suite: ClassVar[Literal["lra", "synthetic"]] = "lra"

    train: int | None = None
    """Training images, drawn by the trial's seed from those that validation leaves; None takes all of them."""
    val: int = 5_000
    """Validation images, drawn by the trial's seed from the 50,000 for training."""
    test: int | None = None
    """Test images, the same ones for every seed; None takes all of them."""

    def __post_init__(self) -> None:
        check_at_least(self, {"train": 1, "val": 1, "test": 1})
        if self.val + (self.train or 1) > CIFAR10["train"]:
            raise UsageError(
                f"task.train + task.val is {self.val + (self.train or 1)}, but CIFAR-10 has 50000 training images."
            )
        if (self.test or 0) > CIFAR10["test"]:
            raise UsageError(f"task.test is {self.test}, but CIFAR-10 has 10000 test images.")

    @property
    def inputs(self) -> Inputs:
        return Inputs("real", 1)

    @property
    def outputs(self) -> int:
        return CLASSES

    @property
    def max_length(self) -> int:
        return PIXELS

    @classmethod
    def files(cls) -> tuple[DataFile, ...]:
        """The one set of images it reads."""
        return (FILE,)

    def provenance(self, data_root: Path | None) -> Provenance:
        path = locate("image", FILE, data_root)
        source = identity(path)
        labels = [] if source[0] in OFFICIAL else [LOSSY.get(source[0], UNVERIFIED)]
        for split, words in (("train", "training"), ("test", "test")):
            if (size := getattr(self, split)) is not None:
                labels.append(f"subset of {size:,} {words} images")
        return Provenance(
            fingerprint=fingerprint("image", self.version, dataclasses.asdict(self), *source),
            kind="real",
            source=f"CIFAR-10 in gray levels, {path.name}",
            labels=tuple(labels),
        )

    def open(self, data_root: Path | None, seed: int) -> Data:
        import torch

        from harness.tasks.sequences import Sequences, Split

        path = locate("image", FILE, data_root)
        arrays = self.images(data_root)
        drawn = np.random.default_rng(seed).permutation(len(arrays["y_train"]))
        fixed = np.random.default_rng(TEST_ORDER_SEED).permutation(len(arrays["y_test"]))
        self._check_sizes(path, len(drawn), len(fixed))
        rows = {
            "train": ("train", drawn[self.val :][: self.train]),
            "val": ("train", drawn[: self.val]),
            "test": ("test", fixed[: self.test]),
        }
        splits = {
            name: Split(
                torch.from_numpy(arrays[f"x_{source}"][index]),
                torch.from_numpy(arrays[f"y_{source}"][index].astype(np.int64)),
            )
            for name, (source, index) in rows.items()
        }
        references = label_references(splits["train"].y.numpy(), splits["test"].y.numpy(), CLASSES)
        return Sequences(splits, references, decode=normalised)

    def prepare(self, data_root: Path | None) -> str:
        self.images(data_root)
        return self._entry(data_root)

    def images(self, data_root: Path | None) -> Arrays:
        """{x,y}_{train,test} in gray levels, from the cache once they are read."""
        return cached(self._entry(data_root), lambda: read_images(locate("image", FILE, data_root)))

    def _entry(self, data_root: Path | None) -> str:
        return f"image-{fingerprint(self.version, identity(locate('image', FILE, data_root)))}"

    def _check_sizes(self, path: Path, train: int, test: int) -> None:
        for needed, held, words in (
            (self.val + (self.train or 1), train, "training images, but task.train and task.val take"),
            (self.test or 1, test, "test images, but task.test takes"),
        ):
            if needed > held:
                raise UsageError(f"{path} holds {held} {words} {needed}. Ask for fewer, or get the whole file.")


def normalised(x: torch.Tensor) -> torch.Tensor:
    """(x/255 - 122.6/255) / (61/255) of uint8 (M, 1024); float32 (M, 1024, 1)."""
    return ((x.float() - MEAN) / DEVIATION).unsqueeze(-1)
