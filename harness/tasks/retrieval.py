"""Retrieval: are two papers related by a citation? Both are read byte by byte, 2 x 4000 steps."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError, unknown
from harness.tasks.cache import cached
from harness.tasks.classification import label_references
from harness.tasks.files import Arrays, DataFile, digest, fingerprint, locate
from harness.tasks.progress import followed
from harness.tasks.retrieval_files import AAN, ACLCITE, NAMES, Pairs, beside, read_aan, read_aclcite
from harness.tasks.task import Data, Inputs, Provenance, check_at_least
from harness.tasks.written import Written

ORDER_SEED = 0
UTF8_BYTES = 4
"""At most, of a character."""


@dataclass(frozen=True)
class Retrieval(Written):
    """Pairs of papers, one citing the other or not, encoded by two towers of shared weights (Long Range Arena).

    The official splits of pairs, which share papers. Characters are counted in the papers as they are cut.
    """

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Retrieval"
    suite: ClassVar[Literal["lra", "synthetic"]] = "lra"
    official_length: ClassVar[int] = 4000
    official_characters: ClassVar[int] = 97

    max_length: int = 4000
    source: Literal["aan", "aclcite"] = "aan"
    """`aan` is the official set; `aclcite` a small substitute from the ACL Anthology, labelled as one."""
    train: int | None = None
    """Training pairs, drawn by the trial's seed; None takes all of them."""
    val: int | None = None
    """Validation pairs, the same ones for every seed; None takes all of them."""
    test: int | None = None
    """Test pairs, the same ones for every seed; None takes all of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source not in ("aan", "aclcite"):
            raise unknown("task.source", self.source, ("aan", "aclcite"))
        check_at_least(self, dict.fromkeys(NAMES, 1))

    @property
    def inputs(self) -> Inputs:
        return Inputs("tokens", self.coding.vocabulary, towers=2)

    @property
    def outputs(self) -> int:
        return 2

    @classmethod
    def files(cls) -> tuple[DataFile, ...]:
        """The three official files, and the substitute's."""
        return (*AAN.values(), ACLCITE)

    def provenance(self, data_root: Path | None) -> Provenance:
        official = self.source == "aan"
        labels = [] if official else ["ACL Anthology citations instead of AAN"]
        labels += self.cut()
        for split, words in (("train", "training"), ("val", "validation"), ("test", "test")):
            if (size := getattr(self, split)) is not None:
                labels.append(f"subset of {size:,} {words} pairs")
        return Provenance(
            fingerprint=fingerprint("retrieval", self.version, dataclasses.asdict(self), self._identity(data_root)),
            kind="real" if official else "substitute",
            source=f"{'AAN' if official else 'ACL Anthology'} pairs as {self.unit}s",
            labels=tuple(labels),
        )

    def open(self, data_root: Path | None, seed: int) -> Data:
        import torch

        from harness.tasks.ragged import Ragged
        from harness.tasks.sequences import Sequences, Split

        arrays = self.encoded(data_root)
        rows = {}
        for split in NAMES:
            held = len(arrays[f"{split}_labels"])
            if (needed := getattr(self, split) or 1) > held:
                raise UsageError(f"The data holds {held} {split} pairs, but task.{split} is {needed}. Ask for fewer.")
            order = np.random.default_rng(seed if split == "train" else ORDER_SEED).permutation(held)
            rows[split] = order[: getattr(self, split)]
        papers = Ragged.of(torch.from_numpy(arrays["ids"]), torch.from_numpy(arrays["lengths"]))
        splits = {
            split: Split(
                papers.rows(torch.from_numpy(arrays[f"{split}_pairs"][index])),
                torch.from_numpy(arrays[f"{split}_labels"][index].astype(np.int64)),
            )
            for split, index in rows.items()
        }
        references = label_references(splits["train"].y.numpy(), splits["test"].y.numpy(), 2)
        shared = {split: arrays[f"{split}_overlap"][index] for split, index in rows.items()}
        cut = threshold(shared["train"], splits["train"].y.numpy() == 1)
        references["word_overlap"] = float(((shared["test"] >= cut) == (splits["test"].y.numpy() == 1)).mean())
        return Sequences(splits, references)

    def reads(self) -> tuple[DataFile, ...]:
        return tuple(AAN.values()) if self.source == "aan" else (ACLCITE,)

    def prepare(self, data_root: Path | None) -> str:
        self.encoded(data_root)
        return self._entry(data_root)

    def encoded(self, data_root: Path | None) -> Arrays:
        """ids and lengths of the papers, {train,val,test}_{pairs,labels,overlap} and the alphabet, from the cache."""
        coding = self.coding

        def make() -> Arrays:
            found = self._read(data_root)
            alphabet = coding.alphabet(found.texts)
            ids, lengths = coding.encode(found.texts, alphabet)
            arrays: Arrays = {"ids": ids, "lengths": lengths, "alphabet": alphabet}
            words = [_words(text) for text in followed(found.texts, "collecting words", len(found.texts))]
            for split in NAMES:
                pairs = found.pairs[split]
                arrays[f"{split}_pairs"] = np.array(pairs, dtype=np.int64)
                arrays[f"{split}_labels"] = np.array(found.labels[split], dtype=np.uint8)
                arrays[f"{split}_overlap"] = np.array([_overlap(words[a], words[b]) for a, b in pairs])
            return arrays

        return cached(self._entry(data_root), make)

    def _entry(self, data_root: Path | None) -> str:
        source = self._identity(data_root)
        return f"retrieval-{fingerprint(self.version, dataclasses.asdict(self.coding), source)}"

    def _paths(self, data_root: Path | None) -> dict[str, Path]:
        if self.source == "aan":
            return {split: locate("retrieval", file, data_root) for split, file in AAN.items()}
        return {"pairs": locate("retrieval", ACLCITE, data_root)}

    def _identity(self, data_root: Path | None) -> list[str]:
        paths = list(self._paths(data_root).values())
        return [digest(path) for path in (paths if self.source == "aan" else [*paths, beside(paths[0])])]

    def _read(self, data_root: Path | None) -> Pairs:
        paths = self._paths(data_root)
        kept = self.max_length * (1 if self.unit == "byte" else UTF8_BYTES)
        return read_aan(paths, kept) if self.source == "aan" else read_aclcite(paths["pairs"], kept)


def threshold(overlap: NDArray[np.float64], related: NDArray[np.bool_]) -> float:
    """The cut that tells most of the pairs apart by saying "related" at or above it; the highest of equals."""
    order = np.argsort(-overlap, kind="stable")
    right = np.cumsum(np.where(related[order], 1, -1))
    last_of_equals = np.append(np.diff(overlap[order]) != 0, True)
    best = np.where(last_of_equals, right, -len(right) - 1).argmax()
    return float(overlap[order][best]) if right[best] > 0 else np.inf


def _words(text: bytes) -> frozenset[bytes]:
    return frozenset(re.findall(rb"[a-z]{4,}", text.lower()))


def _overlap(a: frozenset[bytes], b: frozenset[bytes]) -> float:
    """Words in both over words in either, of four letters and more (Jaccard)."""
    return len(a & b) / max(1, len(a | b))
