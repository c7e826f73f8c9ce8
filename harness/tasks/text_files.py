"""The IMDB reviews as they are handed out: the archive, its folder, or two files of JSON lines. Torch-free.

    aclImdb_v1.tar.gz                       as downloaded, read without being unpacked
    aclImdb/{train,test}/{neg,pos}/*.txt    <id>_<rating>.txt; neg is rated 1 to 4, pos 7 to 10
    imdb_{train,test}.jsonl[.xz]            {"id": 0, "label": 0, "rating": 3, "text": "..."} a line

Source: Maas, Daly, Pham, Huang, Ng, Potts 2011, "Learning Word Vectors for Sentiment Analysis".
"""

from __future__ import annotations

import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks.files import DataFile, digest
from harness.tasks.progress import followed

SPLITS = ("train", "test")
CLASSES = ("neg", "pos")
REVIEWS = 25_000
"""In each official split, half of each class."""
FOLDERS = tuple(f"{split}/{name}" for split in SPLITS for name in CLASSES)
LINES = ("imdb_{}.jsonl.xz", "imdb_{}.jsonl")
"""Names of the files of lines, compressed and plain; both splits have the same form."""
ARCHIVE = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
OFFICIAL = {
    (ARCHIVE,),
    (
        "20f440294021d3c667d6efefe1e4e593e67fe5cc26f67e6711b4a7a62e9823d9",
        "dc53253f7ffef614a8707ee8de7a474a044b306578064d5270fa28637f3540ca",
    ),
    (
        "1ea166b3831822ed9b0fef099f9a445c3c93b3dcc1a572dd89c9fa3fea4f1cf8",
        "bfbc6f6c6ceabd8178b6ea4efa8cf49b948159afe7b25e4ec2cdae1d58a85b5f",
    ),
    (
        "640e919239cced17511831ad9dd18cc211460fe1e8c9f874ebd361f5c9b6f82f",
        "02cf117bee3a49feb0a29c6a297d899c4d9e1f296b2c7c03c402048474ae3fb5",
        "88a3bba9c502b88cb5a88370c2a9a09043dbb8c7b3b1ba4e8337522f9907614a",
        "e8d2d77d849a728ecc2e7935fae21dcc147a908c1966deb2a154e52b7d56a833",
    ),
}
"""`identity` of the copies known to hold the official reviews: packed, lines compressed and plain, unpacked."""

_NAME = re.compile(r"(\d+)_(\d+)\.txt")
_ORIGIN = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz (84 MB)"
_AGAIN = f"Get it again from {_ORIGIN}."


@dataclass(frozen=True)
class Reviews:
    """The texts of a split, UTF-8, negative ones first, and labels uint8 (n,): 0 negative, 1 positive."""

    texts: list[bytes]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class _Review:
    split: str
    label: int
    number: int
    rating: int
    text: bytes
    place: str
    """Where it stands, as the subject of a sentence."""


def identity(path: Path) -> tuple[str, ...]:
    """The digests of everything that is read; raises EnvironmentProblem when a part is not there."""
    if path.is_dir():
        parts = [path / folder for folder in FOLDERS]
    elif _has_lines(path):
        parts = [_of_lines(path, split) for split in SPLITS]
    else:
        parts = [path]
    for part in parts:
        if not part.exists():
            raise EnvironmentProblem(f"'{part}' is missing, which belongs to '{path}'. {_AGAIN}")
    return tuple(digest(part) for part in parts)


def read(path: Path) -> dict[str, Reviews]:
    """Both splits, each by label and number. Raises UsageError naming file and line of what is not right."""
    identity(path)
    entries = _folder(path) if path.is_dir() else _lines(path) if _has_lines(path) else _archive(path)
    found: dict[str, dict[tuple[int, int], bytes]] = {split: {} for split in SPLITS}
    for review in followed(entries, "reading the reviews", 2 * REVIEWS):
        if not (1, 7)[review.label] <= review.rating <= (4, 10)[review.label]:
            word = ("negative", "positive")[review.label]
            raise UsageError(f"{review.place}: a {word} review is rated {review.rating}. {_AGAIN}")
        if not review.text:
            raise UsageError(f"{review.place}: the review is empty. {_AGAIN}")
        if (review.label, review.number) in found[review.split]:
            raise UsageError(f"{review.place}: review {review.number} is there twice. {_AGAIN}")
        found[review.split][review.label, review.number] = review.text
    for split, reviews in found.items():
        if not reviews:
            raise UsageError(f"{path} holds no reviews for {'training' if split == 'train' else 'testing'}. {_AGAIN}")
    return {
        split: Reviews(
            [reviews[key] for key in sorted(reviews)], np.array([key[0] for key in sorted(reviews)], np.uint8)
        )
        for split, reviews in found.items()
    }


def check(path: Path) -> str:
    """Read everything and count; says what is there, or raises UsageError."""
    for split, reviews in read(path).items():
        counts = np.bincount(reviews.labels, minlength=2)
        if (counts != REVIEWS // 2).any():
            raise UsageError(
                f"{path}: {split} has {counts[0]} negative and {counts[1]} positive reviews; "
                f"the official set has {REVIEWS // 2} of each. {_AGAIN}"
            )
    known = "the official copy" if identity(path) in OFFICIAL else "a copy whose digest is not known"
    return f"25,000 training and 25,000 test reviews, half of each positive; {known}"


def _folder(path: Path) -> Iterator[_Review]:
    for folder in FOLDERS:
        for file in sorted((path / folder).iterdir()):
            yield _named(folder, file.name, file.read_bytes(), str(file))


def _archive(path: Path) -> Iterator[_Review]:
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                _, _, inner = member.name.partition("aclImdb/")
                folder, _, name = inner.rpartition("/")
                if folder in FOLDERS and (stream := archive.extractfile(member)) is not None:
                    yield _named(folder, name, stream.read(), f"{path}, {member.name}")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as damage:
        raise UsageError(f"{path} is damaged or cut short ({damage}). {_AGAIN}") from damage


def _named(folder: str, name: str, text: bytes, place: str) -> _Review:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(f"{place}: expected a name such as 0_3.txt (number, rating), got '{name}'. {_AGAIN}")
    split, _, label = folder.partition("/")
    try:
        text.decode()
    except UnicodeDecodeError as wrong:
        raise UsageError(f"{place} is not UTF-8 at byte {wrong.start}. {_AGAIN}") from wrong
    return _Review(split, CLASSES.index(label), int(match[1]), int(match[2]), text, place)


def _has_lines(path: Path) -> bool:
    return path.name in {name.format("train") for name in LINES}


def _of_lines(path: Path, split: str) -> Path:
    """The file of `split` beside that of the training reviews, in the same form."""
    return path.with_name(path.name.replace("train", split))


def _lines(path: Path) -> Iterator[_Review]:
    for split in SPLITS:
        file = _of_lines(path, split)
        number = 0
        try:
            with lzma.open(file) if file.suffix == ".xz" else file.open("rb") as stream:
                for number, line in enumerate(stream, start=1):
                    yield _line(split, line, f"{file}, line {number}")
        except (lzma.LZMAError, EOFError) as damage:
            raise UsageError(f"{file} is damaged or cut short after line {number} ({damage}). {_AGAIN}") from damage


def _line(split: str, line: bytes, place: str) -> _Review:
    try:
        values: Any = json.loads(line)
        kinds = {"id": int, "label": int, "rating": int, "text": str}
        if not isinstance(values, dict) or any(type(values.get(key)) is not kind for key, kind in kinds.items()):
            raise ValueError("expected an object with integers id, label and rating and a string text")
        text = values["text"].encode()
    except ValueError as wrong:
        raise UsageError(f"{place}: {wrong}. {_AGAIN}") from wrong
    if values["label"] not in (0, 1):
        raise UsageError(f"{place}: the label is {values['label']}; expected 0 or 1. {_AGAIN}")
    return _Review(split, values["label"], values["id"], values["rating"], text, place)


FILE = DataFile(
    name="aclImdb_v1.tar.gz",
    places=tuple(
        folder + name
        for name in ("aclImdb_v1.tar.gz", "aclImdb", *(name.format("train") for name in LINES))
        for folder in ("", "text/", "imdb/")
    ),
    origin=f"{_ORIGIN}, packed or unpacked",
    check=check,
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    sha256=ARCHIVE,
)
