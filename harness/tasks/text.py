"""Text: is a movie review positive? IMDB, read byte by byte, 4096 steps."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from harness.errors import UsageError, unknown
from harness.tasks.cache import cached
from harness.tasks.classification import label_references
from harness.tasks.files import Arrays, DataFile, fingerprint, locate
from harness.tasks.task import Data, Provenance
from harness.tasks.text_files import FILE, OFFICIAL, REVIEWS, SPLITS, identity, read
from harness.tasks.written import Written

TEST_ORDER_SEED = 0


@dataclass(frozen=True)
class Text(Written):
    """IMDB reviews as bytes or characters, positive or negative (Maas et al. 2011; Long Range Arena).

    The official test split; validation is drawn from the official training split, where 96 reviews repeat another.
    """

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Text"
    suite: ClassVar[Literal["lra", "synthetic"]] = "lra"
    official_length: ClassVar[int] = 4096
    official_characters: ClassVar[int] = 135

    validation: Literal["train", "test"] = "train"
    """`train` holds `val` reviews back; `test` validates on the test set, as Long Range Arena and S4 do: labelled."""
    train: int | None = None
    """Training reviews, drawn by the trial's seed from those that validation leaves; None takes all of them."""
    val: int = 2_500
    """Validation reviews, drawn by the trial's seed from the 25,000 for training."""
    test: int | None = None
    """Test reviews, the same ones for every seed; None takes all of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation not in ("train", "test"):
            raise unknown("task.validation", self.validation, ("train", "test"))
        for name in ("train", "val", "test"):
            size = getattr(self, name)
            if size is not None and not 1 <= size <= REVIEWS:
                raise UsageError(f"task.{name} is {size}; it must be 1 to {REVIEWS}.")
        if self._held_back() + (self.train or 1) > REVIEWS:
            raise UsageError(
                f"task.train + task.val is {self._held_back() + (self.train or 1)}, "
                f"but there are {REVIEWS} training reviews."
            )

    @property
    def outputs(self) -> int:
        return 2

    @classmethod
    def files(cls) -> tuple[DataFile, ...]:
        """The one set of reviews it reads."""
        return (FILE,)

    def provenance(self, data_root: Path | None) -> Provenance:
        path = locate("text", FILE, data_root)
        source = identity(path)
        labels = [] if source in OFFICIAL else ["unverified copy of IMDB"]
        labels += ["validated on the test set, as LRA and S4 do"] if self.validation == "test" else []
        labels += self.cut()
        for split, words in (("train", "training"), ("test", "test")):
            if (size := getattr(self, split)) is not None:
                labels.append(f"subset of {size:,} {words} reviews")
        return Provenance(
            fingerprint=fingerprint("text", self.version, dataclasses.asdict(self), source),
            kind="real",
            source=f"IMDB reviews as {self.unit}s, {path.name}",
            labels=tuple(labels),
        )

    def open(self, data_root: Path | None, seed: int) -> Data:
        import torch

        from harness.tasks.ragged import Ragged
        from harness.tasks.sequences import Sequences, Split

        arrays = self.encoded(data_root)
        drawn = np.random.default_rng(seed).permutation(len(arrays["train_labels"]))
        fixed = np.random.default_rng(TEST_ORDER_SEED).permutation(len(arrays["test_labels"]))
        self._check_sizes(len(drawn), len(fixed))
        held = self._held_back()
        rows = {
            "train": ("train", drawn[held:][: self.train]),
            "val": ("train", drawn[:held]) if held else ("test", fixed[: self.test]),
            "test": ("test", fixed[: self.test]),
        }
        whole = {
            name: Ragged.of(*(torch.from_numpy(arrays[f"{name}_{part}"]) for part in ("ids", "lengths")))
            for name in SPLITS
        }
        labels = {name: torch.from_numpy(arrays[f"{name}_labels"].astype(np.int64)) for name in SPLITS}
        splits = {
            name: Split(whole[source].rows(torch.from_numpy(index)), labels[source][index])
            for name, (source, index) in rows.items()
        }
        return Sequences(splits, label_references(splits["train"].y.numpy(), splits["test"].y.numpy(), 2))

    def prepare(self, data_root: Path | None) -> str:
        self.encoded(data_root)
        return self._entry(data_root)

    def encoded(self, data_root: Path | None) -> Arrays:
        """{train,test}_{ids,lengths,labels} and the alphabet, from the cache once they are made."""
        path = locate("text", FILE, data_root)
        coding = self.coding

        def make() -> Arrays:
            reviews = read(path)
            arrays: Arrays = {"alphabet": coding.alphabet(reviews["train"].texts)}
            for split in SPLITS:
                ids, lengths = coding.encode(reviews[split].texts, arrays["alphabet"])
                arrays |= {f"{split}_ids": ids, f"{split}_lengths": lengths, f"{split}_labels": reviews[split].labels}
            return arrays

        return cached(self._entry(data_root), make)

    def _entry(self, data_root: Path | None) -> str:
        source = identity(locate("text", FILE, data_root))
        return f"text-{fingerprint(self.version, dataclasses.asdict(self.coding), source)}"

    def _held_back(self) -> int:
        return self.val if self.validation == "train" else 0

    def _check_sizes(self, train: int, test: int) -> None:
        for needed, held, words in (
            (self._held_back() + (self.train or 1), train, "training reviews, but task.train and task.val take"),
            (self.test or 1, test, "test reviews, but task.test takes"),
        ):
            if needed > held:
                raise UsageError(f"The copy holds {held} {words} {needed}. Ask for fewer, or get the whole set.")
