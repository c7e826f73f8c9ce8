"""CIFAR-10 as it is handed out, and as gray levels. Torch-free.

    cifar-10-binary.tar.gz, cifar-10-batches-bin/   records of 1 label and 3 x 1024 bytes: red, green, blue
    cifar-10-python.tar.gz, cifar-10-batches-py/    pickles of the same, read without unpickling (see `pickled`)
    cifar10_gray.npz                                x_train (50000, 1024), y_train (50000,), x_test and y_test

    gray = (19595 R + 38470 G + 7471 B + 32768) >> 16

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; the gray formula is that of
torchvision, which the official S4 code uses.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks.files import Arrays, DataFile, digest, read_arrays
from harness.tasks.pickled import unpickled
from harness.tasks.progress import followed

CLASSES = 10
PIXELS = 32 * 32
CIFAR10 = {"train": 50_000, "test": 10_000}
BATCHES = tuple(f"data_batch_{index}" for index in range(1, 6))
BINARY, PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"
LOSSY = {"e26bbca5d23bd77c524030c3927b9e6070b21928f3cf825293546e2405edbdb8": "lossy images (JPEG)"}
"""SHA-256 of the copies whose pixels are known to differ from CIFAR-10's, and what they are labelled."""
OFFICIAL = {
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
}
"""SHA-256 of the archives as they are handed out, binary and Python."""

_AGAIN = "Get it again from https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz."
_RECORD = 1 + 3 * PIXELS

Bytes = NDArray[np.uint8]


def identity(path: Path) -> tuple[str, ...]:
    """The digests of everything that is read; raises EnvironmentProblem when a batch is not there."""
    parts = [_batch_path(path, name) for name in (*BATCHES, "test_batch")] if path.is_dir() else [path]
    for part in parts:
        if not part.exists():
            raise EnvironmentProblem(f"'{part}' is missing, which belongs to '{path}'. {_AGAIN}")
    return tuple(digest(part) for part in parts)


def read_images(path: Path) -> Arrays:
    """x_train (n, 1024), y_train (n,), x_test and y_test. Raises UsageError naming what is wrong with the copy."""
    if path.suffix == ".npz":
        return _read_npz(path)
    identity(path)
    parts: dict[str, tuple[Bytes, Bytes]] = {}
    for file, content, place in followed(_batches(path), "converting to gray levels", 6):
        name = file.removesuffix(".bin")
        parts[name] = _python(content, place) if name == file else _binary(content, place)
    if missing := [name for name in (*BATCHES, "test_batch") if name not in parts]:
        raise UsageError(f"{path} has no batch '{missing[0]}'. {_AGAIN}")
    arrays: Arrays = {}
    for split, names in (("train", BATCHES), ("test", ("test_batch",))):
        arrays[f"x_{split}"] = np.concatenate([parts[name][0] for name in names])
        arrays[f"y_{split}"] = np.concatenate([parts[name][1] for name in names])
    return arrays


def gray(planes: Bytes) -> Bytes:
    """(n, 3 * 1024) of red, green and blue to (n, 1024)."""
    R, G, B = (planes[:, start : start + PIXELS].astype(np.uint32) for start in (0, PIXELS, 2 * PIXELS))
    return ((19595 * R + 38470 * G + 7471 * B + 32768) >> 16).astype(np.uint8)


def check(path: Path) -> str:
    """Compare the whole copy with CIFAR-10: image counts, and as many images of every class."""
    arrays = read_images(path)
    for split, size in CIFAR10.items():
        counts = np.bincount(arrays[f"y_{split}"], minlength=CLASSES)
        if counts.sum() != size:
            raise UsageError(f"{path}: x_{split} holds {counts.sum()} images; CIFAR-10 has {size}.")
        if (counts != size // CLASSES).any():
            raise UsageError(
                f"{path}: y_{split} has {counts.tolist()} images per class; CIFAR-10 has {size // CLASSES}."
            )
    lossy = LOSSY.get(identity(path)[0], "")
    return f"50,000 training and 10,000 test images, 5,000 and 1,000 of every class{lossy and f', {lossy}'}"


def _read_npz(path: Path) -> Arrays:
    arrays = read_arrays(path, ("x_train", "y_train", "x_test", "y_test"))
    for split in CIFAR10:
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if x.ndim != 2 or x.shape[1] != PIXELS or x.dtype != np.uint8:
            raise UsageError(f"{path}: x_{split} is {x.dtype} {x.shape}; expected uint8 (n, {PIXELS}).")
        if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
            raise UsageError(f"{path}: y_{split} is {y.dtype} {y.shape}; expected integers ({len(x)},).")
        if len(y) and not 0 <= y.min() <= y.max() < CLASSES:
            raise UsageError(f"{path}: y_{split} has labels {y.min()} to {y.max()}; expected 0 to {CLASSES - 1}.")
    return arrays


def _batches(path: Path) -> Iterator[tuple[str, bytes, str]]:
    """File name, content and place of every batch of a folder or an archive."""
    names = (*BATCHES, "test_batch")
    if path.is_dir():
        for name in names:
            file = _batch_path(path, name)
            yield file.name, file.read_bytes(), str(file)
        return
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                _, _, name = member.name.rpartition("/")
                if name.removesuffix(".bin") in names and (stream := archive.extractfile(member)) is not None:
                    yield name, stream.read(), f"{path}, {member.name}"
    except (tarfile.TarError, EOFError, zlib.error, OSError) as damage:
        raise UsageError(f"{path} is damaged or cut short ({damage}). {_AGAIN}") from damage


def _batch_path(folder: Path, name: str) -> Path:
    return folder / (f"{name}.bin" if folder.name == BINARY else name)


def _binary(content: bytes, place: str) -> tuple[Bytes, Bytes]:
    if not content or len(content) % _RECORD:
        raise UsageError(
            f"{place} has {len(content):,} bytes, which is not a number of {_RECORD}-byte images. {_AGAIN}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    return gray(records[:, 1:]), _labels(records[:, 0], place)


def _python(content: bytes, place: str) -> tuple[Bytes, Bytes]:
    batch: Any = unpickled(content, place, _AGAIN)
    x, y = (batch.get(name) for name in (b"data", b"labels")) if isinstance(batch, dict) else (None, None)
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] != 3 * PIXELS or not len(x):
        raise UsageError(f"{place} has no 'data' of shape (n, {3 * PIXELS}). {_AGAIN}")
    if not isinstance(y, list) or len(y) != len(x) or any(type(label) is not int for label in y):
        raise UsageError(f"{place} has no list of {len(x)} integer 'labels'. {_AGAIN}")
    return gray(x), _labels(np.clip(y, -1, CLASSES), place)


def _labels(y: NDArray[Any], place: str) -> Bytes:
    wrong = np.flatnonzero((y < 0) | (y >= CLASSES))
    if len(wrong):
        raise UsageError(f"{place}, image {wrong[0] + 1}: the label is not 0 to {CLASSES - 1}. {_AGAIN}")
    return y.astype(np.uint8)


FILE = DataFile(
    name="cifar-10-binary.tar.gz",
    places=tuple(
        folder + name
        for name in ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", BINARY, PYTHON, "cifar10_gray.npz")
        for folder in ("", "image/", "cifar10/")
    ),
    origin=(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz (170 MB), packed or unpacked, or in gray levels as "
        "cifar10_gray.npz: uint8 x_train (50000, 1024) and x_test (10000, 1024), (19595 R + 38470 G + 7471 B + 32768) "
        ">> 16 of each 32 x 32 image row after row, and their labels y_train (50000,) and y_test (10000,), 0 to 9"
    ),
    check=check,
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
