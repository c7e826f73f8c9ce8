"""A data set of one's own: arrays in an npz file, or in a folder of .npy files, and a class that names them.

x_train (n, L) or (n, L, channels), y_train (n,), x_test and y_test; x_val and y_val where there are any
lengths_train (n,) and so on, where sequences are padded at their ends
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.tasks.cache import cached
from harness.tasks.classification import Classification, label_references
from harness.tasks.files import Arrays, DataFile, digest, fingerprint, locate, read_arrays
from harness.tasks.task import Data, Inputs, Provenance

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ArrayFile(Classification):
    """One class per sequence, read from arrays. Derive from it, set the five values, and register the result."""

    version: ClassVar[int] = 1
    suite: ClassVar[Literal["lra", "synthetic"]] = "synthetic"
    name: ClassVar[str]
    """The file below the data root, NAME.npz, or the folder of .npy files, NAME."""
    length: ClassVar[int]
    classes: ClassVar[int]
    channels: ClassVar[int] = 1
    """Of real inputs; unused for tokens."""
    vocabulary: ClassVar[int] = 0
    """Number of tokens, where the inputs are integers; 0 for real ones."""

    val_share: float = 0.1
    """Of the training examples, drawn by the trial's seed; unused where the arrays hold a validation set."""

    def __post_init__(self) -> None:
        if not 0.0 < self.val_share < 1.0:
            raise UsageError(f"task.val_share is {self.val_share}; it must be above 0 and below 1.")

    @property
    def inputs(self) -> Inputs:
        return Inputs("tokens", self.vocabulary) if self.vocabulary else Inputs("real", self.channels)

    @property
    def outputs(self) -> int:
        return self.classes

    @property
    def max_length(self) -> int:
        return self.length

    @classmethod
    def files(cls) -> tuple[DataFile, ...]:
        """The one file or folder it reads."""
        return (DataFile(f"{cls.name}.npz", (f"{cls.name}.npz", cls.name), "whoever made it", check=cls.check),)

    def provenance(self, data_root: Path | None) -> Provenance:
        path = self._path(data_root)
        identity = fingerprint(self.name, self.version, dataclasses.asdict(self), digest(path))
        return Provenance(identity, "real", f"{self.title}, {path.name}")

    @classmethod
    def check(cls, path: Path) -> str:
        """Read everything; says how many examples there are, or raises UsageError naming the array."""
        arrays = cls.read(path)
        return ", ".join(f"{len(arrays[f'y_{split}']):,} {split}" for split in SPLITS if f"y_{split}" in arrays)

    @classmethod
    def read(cls, path: Path) -> Arrays:
        """Every array, checked against the class. Raises UsageError naming the one that is not right."""
        arrays = _loaded(path, [f"{part}_{split}" for split in SPLITS for part in ("x", "y", "lengths")])
        for split in SPLITS:
            if split == "val" and not {"x_val", "y_val"} & arrays.keys():
                continue
            for name in (f"x_{split}", f"y_{split}"):
                if name not in arrays:
                    raise UsageError(f"{path} has no array '{name}'.")
            if not cls.vocabulary and cls.channels == 1 and arrays[f"x_{split}"].ndim == 2:
                arrays[f"x_{split}"] = arrays[f"x_{split}"][..., None]
            cls._check_inputs(arrays[f"x_{split}"], f"{path}: x_{split}")
            for name, low, high in ((f"y_{split}", 0, cls.classes - 1), (f"lengths_{split}", 1, cls.length)):
                if name in arrays:
                    _check_integers(arrays[name], len(arrays[f"x_{split}"]), low, high, f"{path}: {name}")
        return arrays

    @classmethod
    def _check_inputs(cls, x: NDArray[Any], place: str) -> None:
        shape = (cls.length,) if cls.vocabulary else (cls.length, cls.channels)
        if x.shape[1:] != shape or x.dtype.kind not in ("iu" if cls.vocabulary else "iuf") or not len(x):
            raise UsageError(f"{place} is {x.dtype} {x.shape}; expected (n, {', '.join(map(str, shape))}).")
        if cls.vocabulary and not 0 <= x.min() <= x.max() < cls.vocabulary:
            raise UsageError(f"{place} has tokens {x.min()} to {x.max()}; expected 0 to {cls.vocabulary - 1}.")
        if not np.isfinite(x).all():
            raise UsageError(f"{place} holds numbers that are not finite.")

    def prepare(self, data_root: Path | None) -> str:
        self._arrays(data_root)
        return self._entry(data_root)

    def open(self, data_root: Path | None, seed: int) -> Data:
        import torch

        from harness.tasks.sequences import Sequences, Split

        arrays = self._arrays(data_root)
        rows = {
            split: ("train" if split == "val" else split, np.arange(len(arrays[f"y_{split}"])))
            for split in ("train", "test")
        }
        if "y_val" in arrays:
            rows["val"] = ("val", np.arange(len(arrays["y_val"])))
        else:
            drawn = np.random.default_rng(seed).permutation(len(arrays["y_train"]))
            held = max(1, round(self.val_share * len(drawn)))
            rows |= {"train": ("train", drawn[held:]), "val": ("train", drawn[:held])}
        kind = torch.int64 if self.vocabulary else torch.float32
        splits = {}
        for split, (source, index) in rows.items():
            x, y = (torch.from_numpy(arrays[f"{part}_{source}"][index]) for part in ("x", "y"))
            lengths = arrays.get(f"lengths_{source}")
            splits[split] = Split(x, y.long(), None if lengths is None else torch.from_numpy(lengths[index]).long())
        references = label_references(splits["train"].y.numpy(), splits["test"].y.numpy(), self.classes)
        return Sequences(splits, references, decode=lambda x: x.to(kind))

    def _arrays(self, data_root: Path | None) -> Arrays:
        return cached(self._entry(data_root), lambda: self.read(self._path(data_root)))

    def _entry(self, data_root: Path | None) -> str:
        return f"{self.name}-{fingerprint(self.version, digest(self._path(data_root)))}"

    def _path(self, data_root: Path | None) -> Path:
        (file,) = self.files()
        return locate(self.name, file, data_root)


def _check_integers(array: NDArray[Any], count: int, low: int, high: int, place: str) -> None:
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise UsageError(f"{place} is {array.dtype} {array.shape}; expected integers ({count},).")
    if not low <= array.min() <= array.max() <= high:
        raise UsageError(f"{place} holds {array.min()} to {array.max()}; expected {low} to {high}.")


def _loaded(path: Path, wanted: Iterable[str]) -> Arrays:
    """Those of the wanted arrays that are there."""
    if not path.is_dir():
        return read_arrays(path, (), optional=tuple(wanted))
    found = {}
    for name in wanted:
        file = path / f"{name}.npy"
        if file.exists():
            try:
                found[name] = np.load(file, allow_pickle=False)
            except (OSError, ValueError, EOFError) as damage:
                raise UsageError(f"{file} cannot be read as an array ({damage}).") from damage
    return found
