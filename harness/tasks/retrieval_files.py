"""Pairs of papers: the official AAN files, and citation pairs of the ACL Anthology. Torch-free.

    new_aan_pairs.{train,eval,test}.tsv   label, id1, id2, text1, text2; no header, no quoting, one pair a line
    aclcite_pairs.tsv                     header split, label, id1, id2; split is train, eval or test
    aclcite_docs.jsonl.xz                 {"id": "P05-1066", "text": "..."} a line

Sources: Radev et al. 2013 (AAN), in the form of Tay et al., Long Range Arena; Chandrasekaran et al. 2019 (CL-SciSumm)
and Yasunaga et al. 2019 (ScisummNet), over papers of the ACL Anthology.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks.files import DataFile
from harness.tasks.progress import followed

NAMES = {"train": "train", "val": "eval", "test": "test"}
"""Split to what the files call it."""
OFFICIAL_SIZES = {"train": 147_086, "val": 18_090, "test": 17_437}
_LABELS = {b"0": 0, b"1": 1, b"0.0": 0, b"1.0": 1}
_FOLDERS = ("", "aan/", "retrieval/", "tsv_data/", "lra_release/tsv_data/", "lra_release/lra_release/tsv_data/")
_ORIGIN = "lra_release.gz at https://storage.googleapis.com/long-range-arena/lra_release.gz (8.2 GB, folder tsv_data)"


@dataclass
class Pairs:
    """Beginnings of distinct texts, and for each split the pairs of them (by index) with their labels."""

    texts: list[bytes] = field(default_factory=list)
    pairs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    labels: dict[str, list[int]] = field(default_factory=dict)


def read_aan(paths: dict[str, Path], kept: int) -> Pairs:
    """The first `kept` bytes of every text; an empty one is read as one blank.

    Raises UsageError naming file and line of what is not right.
    """
    found = Pairs()
    known: dict[bytes, int] = {}
    for split, path in paths.items():
        found.pairs[split], found.labels[split] = [], []
        for label, *texts in followed(_aan_lines(path), f"reading {path.name}", OFFICIAL_SIZES[split]):
            cut = [text[:kept] or b" " for text in texts]
            a, b = (known.setdefault(text, len(known)) for text in cut)
            found.pairs[split].append((a, b))
            found.labels[split].append(label)
        if not found.labels[split]:
            raise UsageError(f"{path} holds no pairs. Get it again from {_ORIGIN}.")
    found.texts = list(known)
    return found


def read_aclcite(path: Path, kept: int) -> Pairs:
    """The first `kept` bytes of every paper that a pair names; raises UsageError naming file and line."""
    documents = beside(path)
    known = {}
    for number, (name, text) in enumerate(_documents(documents), start=1):
        if name in known:
            raise UsageError(f"{documents}, line {number}: the paper {name} is there twice. Make the file again.")
        known[name] = text[:kept] or b" "
    order = {name: index for index, name in enumerate(known)}
    found = Pairs(list(known.values()), {split: [] for split in NAMES}, {split: [] for split in NAMES})
    splits = {name.encode(): split for split, name in NAMES.items()}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        columns = line.split(b"\t")
        place = f"{path}, line {number}"
        if number == 1:
            if columns != [b"split", b"label", b"id1", b"id2"]:
                raise UsageError(f"{place}: expected the header split, label, id1, id2 between tabs.")
            continue
        if len(columns) != 4:
            raise UsageError(f"{place}: expected 4 columns, got {len(columns)}.")
        names = [name.decode(errors="replace") for name in columns[2:]]
        if (split := splits.get(columns[0])) is None or columns[1] not in _LABELS:
            shown = b" ".join(columns[:2]).decode(errors="replace")
            raise UsageError(f"{place}: '{shown}' is no split (train, eval, test) and label (0, 1).")
        if unknown := [name for name in names if name not in order]:
            raise UsageError(f"{place}: the paper '{unknown[0]}' is not in {documents}.")
        found.pairs[split].append((order[names[0]], order[names[1]]))
        found.labels[split].append(_LABELS[columns[1]])
    if empty := [NAMES[split] for split, labels in found.labels.items() if not labels]:
        raise UsageError(f"{path} holds no pairs of the split '{empty[0]}'.")
    return found


def beside(path: Path) -> Path:
    """The papers that belong to a file of pairs."""
    documents = path.with_name("aclcite_docs.jsonl.xz")
    if not documents.is_file():
        raise EnvironmentProblem(f"'{documents}' is missing, which holds the papers that '{path}' names.")
    return documents


def _aan_lines(path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            place = f"{path}, line {number}"
            columns = line.rstrip(b"\r\n").split(b"\t")
            if len(columns) != 5:
                hint = " The files named only_ids have no texts." if len(columns) == 3 else ""
                raise UsageError(
                    f"{place}: expected 5 columns (label, id1, id2, text1, text2), got {len(columns)}.{hint} "
                    f"Get it again from {_ORIGIN}."
                )
            if columns[0] not in _LABELS:
                shown = columns[0][:20].decode(errors="replace")
                raise UsageError(f"{place}: the label '{shown}' is not 0 or 1. Get the file again from {_ORIGIN}.")
            yield _LABELS[columns[0]], columns[3], columns[4]


def _documents(path: Path) -> Iterator[tuple[str, bytes]]:
    number = 0
    try:
        with lzma.open(path) as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    paper = json.loads(line)
                    yield str(paper["id"]), str(paper["text"]).encode()
                except (ValueError, KeyError, TypeError) as wrong:
                    raise UsageError(
                        f"{path}, line {number}: expected an object with id and text ({wrong})."
                    ) from wrong
    except (lzma.LZMAError, EOFError) as damage:
        raise UsageError(f"{path} is damaged or cut short after line {number} ({damage}).") from damage


def _check_aan(path: Path) -> str:
    split = next(split for split, name in NAMES.items() if path.name == f"new_aan_pairs.{name}.tsv")
    ones = [label for label, *_ in followed(_aan_lines(path), f"reading {path.name}", OFFICIAL_SIZES[split])]
    if len(ones) != OFFICIAL_SIZES[split]:
        raise UsageError(
            f"{path} holds {len(ones):,} pairs; the official file has {OFFICIAL_SIZES[split]:,}. "
            f"Get it again from {_ORIGIN}."
        )
    return f"{len(ones):,} pairs, {sum(ones):,} of them related"


def _check_aclcite(path: Path) -> str:
    found = read_aclcite(path, kept=1)
    counts = ", ".join(f"{len(labels):,} {split}" for split, labels in found.labels.items())
    return f"pairs of {len(found.texts):,} papers: {counts}"


AAN = {
    split: DataFile(
        name=f"new_aan_pairs.{name}.tsv",
        places=tuple(f"{folder}new_aan_pairs.{name}.tsv" for folder in _FOLDERS),
        origin=_ORIGIN,
        check=_check_aan,
        archived=f"tsv_data/new_aan_pairs.{name}.tsv",
    )
    for split, name in NAMES.items()
}
ACLCITE = DataFile(
    name="aclcite_pairs.tsv",
    places=("aclcite_pairs.tsv", "retrieval/aclcite_pairs.tsv"),
    origin=(
        "the ACL Anthology papers of CL-SciSumm and ScisummNet, as aclcite_docs.jsonl.xz (id and text of each paper) "
        "and this file beside it (split, label, id1, id2; label 1 where id1 cites id2)"
    ),
    check=_check_aclcite,
    needed=False,
)
