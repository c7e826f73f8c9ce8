"""Pathfinder and Path-X: do two dots sit on one dashed path? Read pixel by pixel, 1024 and 16384 steps.

Drawn by default, by the rules of the published generator with the settings of Long Range Arena; the released pictures
are read where the user has them.
"""

from __future__ import annotations

import dataclasses
import functools
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.tasks.cache import cached, checksums
from harness.tasks.classification import Classification, label_references
from harness.tasks.files import Arrays, DataFile, fingerprint, locate
from harness.tasks.pathfinder_arrays import dot_distance, draw, read, tables
from harness.tasks.pathfinder_files import is_inner, refuse_outer, release, stamp_of
from harness.tasks.pathfinder_rules import Difficulty, Rules, rules
from harness.tasks.task import Data, Inputs, Provenance, check_at_least

if TYPE_CHECKING:
    import torch

LRA_SIZES = {"test": 20_000, "val": 20_000, "train": 160_000}
"""In the order in which pictures are dealt out, so that more training pictures leave test and val as they are."""


@dataclass(frozen=True)
class Contours(Classification):
    """What both tasks share: two dots on one dashed path or on two; dealt out or drawn alike for every trial."""

    version: ClassVar[int] = 1
    suite: ClassVar[Literal["lra", "synthetic"]] = "lra"
    lra_size: ClassVar[int]

    source: Literal["generated", "official"] = "generated"
    difficulty: Difficulty = "hard"
    """Dashes of a path: easy 6, intermediate 9, hard 14, which is the one of Long Range Arena."""
    train: int = LRA_SIZES["train"]
    val: int = LRA_SIZES["val"]
    test: int = LRA_SIZES["test"]
    data_seed: int = 0
    """Of the generator; of the official pictures, how they are dealt out. The trial's seed changes neither."""

    def __post_init__(self) -> None:
        check_at_least(self, {"train": 1, "val": 1, "test": 1, "data_seed": 0})

    @property
    @abstractmethod
    def pixels(self) -> int:
        """Of a side."""

    @property
    def inputs(self) -> Inputs:
        return Inputs("real", 1)

    @property
    def outputs(self) -> int:
        return 2

    @property
    def max_length(self) -> int:
        return self.pixels**2

    def reads(self) -> tuple[DataFile, ...]:
        return (release(self.pixels),) if self.source == "official" else ()

    def provenance(self, data_root: Path | None) -> Provenance:
        """Of the released pictures by their content, so that the first call reads them all and keeps them together."""
        official = self.source == "official"
        if official:
            written = checksums(self.prepare(data_root))
            identity = [written["x"], written["y"]]
        else:
            identity = tables(self._rules())
        return Provenance(
            fingerprint=fingerprint("pathfinder", self.version, dataclasses.asdict(self), self.pixels, identity),
            kind="real" if official else "generated",
            source="Long Range Arena release" if official else "the harness, by the rules of Kim et al. and LRA",
            labels=self._labels(data_root),
        )

    def open(self, data_root: Path | None, seed: int) -> Data:
        import torch

        from harness.tasks.sequences import Sequences, Split

        arrays = self._arrays(data_root)
        y = arrays["y"]
        rows = dict(
            zip(LRA_SIZES, np.split(self._dealt(len(y)), np.cumsum(list(self._sizes().values()))), strict=False)
        )
        pixels = torch.from_numpy(arrays["x"])
        splits = {
            name: Split(pixels, torch.from_numpy(y[rows[name]].astype(np.int64)), rows=torch.from_numpy(rows[name]))
            for name in ("train", "val", "test")
        }
        references = label_references(y[rows["train"]], y[rows["test"]], self.outputs)
        if "apart" in arrays:
            seen, asked = ((arrays["apart"][rows[name]], y[rows[name]]) for name in ("train", "test"))
            references["dot_distance"] = dot_distance(*seen, *asked)
        return Sequences(splits, references, decode=unit)

    def prepare(self, data_root: Path | None) -> str:
        self._arrays(data_root)
        return self._entry(data_root)

    def _arrays(self, data_root: Path | None) -> Arrays:
        """Pixels x, labels y and, of drawn pictures, the squared distance of the dots, apart."""
        if self.source == "official":
            fill = functools.partial(read, self._released(data_root), self.difficulty, self.pixels)
        else:
            fill = functools.partial(draw, self._rules(), self.data_seed, self._count())
        return cached(self._entry(data_root), lambda: fill)

    def _entry(self, data_root: Path | None) -> str:
        kind = f"pathfinder{self.pixels}-{self.difficulty}"
        if self.source == "official":
            return f"{kind}-official-{stamp_of(self._released(data_root), self.difficulty)}"
        drawn = (self.version, self.pixels, self.difficulty, self.data_seed, tables(self._rules()))
        return f"{kind}-{self._count()}-{fingerprint('pathfinder', *drawn)}"

    def _released(self, data_root: Path | None) -> Path:
        folder = locate("pathx" if self.pixels == 128 else "pathfinder", release(self.pixels), data_root)
        refuse_outer(folder)
        return folder

    def _dealt(self, held: int) -> NDArray[np.int64]:
        needed = self._count()
        if held < needed:
            raise UsageError(
                f"The released pictures of {self.pixels} x {self.pixels} pixels ('{self.difficulty}') are {held:,}, "
                f"but task.train + task.val + task.test is {needed:,}; lower task.train by {needed - held:,}, "
                f"or get the whole set."
            )
        if self.source == "official":
            return np.random.default_rng(self.data_seed).permutation(held)
        return np.arange(held)

    def _rules(self) -> Rules:
        return rules(self.pixels, self.difficulty)

    def _sizes(self) -> dict[str, int]:
        return {split: getattr(self, split) for split in LRA_SIZES}

    def _count(self) -> int:
        return sum(self._sizes().values())

    def _labels(self, data_root: Path | None) -> tuple[str, ...]:
        labels = ["generated"] if self.source == "generated" else []
        if self.source == "official" and self.pixels == 128:
            inner = is_inner(self._released(data_root))
            labels += [] if inner else ["unverified copy of pathfinder128 (the release holds a faulty one)"]
        if self.pixels != self.lra_size:
            labels.append(f"{self.pixels} x {self.pixels} pixels instead of {self.lra_size} x {self.lra_size}")
        if self.difficulty != "hard":
            labels.append(f"{self.difficulty} instead of hard")
        for split in ("train", "val", "test"):
            if (size := getattr(self, split)) != LRA_SIZES[split]:
                labels.append(f"{size:,} {split} pictures instead of {LRA_SIZES[split]:,}")
        return tuple(labels)


@dataclass(frozen=True)
class Pathfinder(Contours):
    """Pictures of 32 x 32 pixels; 2 classes (Kim, Linsley, Thakkar and Serre 2020; Long Range Arena)."""

    title: ClassVar[str] = "Pathfinder"
    lra_size: ClassVar[int] = 32

    size: Literal[32, 64, 128, 256] = 32
    """Pixels of a side; the arena has 32 here, and 128 as Path-X."""

    @property
    def pixels(self) -> int:
        return self.size

    @classmethod
    def files(cls) -> tuple[DataFile, ...]:
        """The folders that `source = "official"` reads."""
        return tuple(release(size) for size in (32, 64, 256))


@dataclass(frozen=True)
class PathX(Contours):
    """Pictures of 128 x 128 pixels; 2 classes (Kim, Linsley, Thakkar and Serre 2020; Long Range Arena)."""

    title: ClassVar[str] = "Path-X"
    lra_size: ClassVar[int] = 128

    @property
    def pixels(self) -> int:
        return 128

    @classmethod
    def files(cls) -> tuple[DataFile, ...]:
        """The folder that `source = "official"` reads."""
        return (release(128),)


def unit(x: torch.Tensor) -> torch.Tensor:
    """x/255 of uint8 (M, L), as in the official S4 code; float32 (M, L, 1)."""
    return (x.float() / 255).unsqueeze(-1)
