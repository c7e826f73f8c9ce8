"""From texts to token ids: bytes as Long Range Arena has them, or characters as the official S4 code has them.

    byte    0 padding, byte + 1, and with eos 257 the end                      257 or 258 ids
    char    0 padding, 1 any other character, and with eos 2 the end, then the characters of the training texts
            that occur at least `min_frequency` times, commonest first, as many as `vocabulary` has room for

Texts are cut to `max_length` tokens, the end included. Ids are int16. Torch-free.

Sources: Tay et al., Long Range Arena (`lra_benchmarks/text_classification`); Gu et al. 2022, official S4 code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int16]
BYTES = 257
OTHER, END = 1, 2


@dataclass(frozen=True)
class Coding:
    """How texts become ids."""

    unit: Literal["byte", "char"]
    max_length: int
    eos: bool
    vocabulary: int
    min_frequency: int

    def alphabet(self, train: Sequence[bytes]) -> NDArray[np.int32]:
        """The code points that have ids of their own, in the order of their ids; none for bytes."""
        if self.unit == "byte":
            return np.zeros(0, np.int32)
        counts = np.bincount(_code_points(b"".join(train).decode(errors="replace")))
        kept = np.flatnonzero(counts >= max(self.min_frequency, 1))
        commonest = kept[np.argsort(-counts[kept], kind="stable")]
        return commonest[: self.vocabulary - self._first()].astype(np.int32)

    def encode(self, texts: Sequence[bytes], alphabet: NDArray[np.int32]) -> tuple[Ids, NDArray[np.int64]]:
        """Ids of all texts one behind the other (T,), and the length of each (n,)."""
        room = self.max_length - self.eos
        if self.unit == "byte":
            cut = [text[:room] for text in texts]
            ids = np.frombuffer(b"".join(cut), np.uint8).astype(np.int16) + np.int16(1)
            lengths = np.array([len(text) for text in cut], dtype=np.int64)
            end = BYTES
        else:
            letters = [text.decode(errors="replace")[:room] for text in texts]
            lookup = np.full(0x110000, OTHER, dtype=np.int16)
            lookup[alphabet] = np.arange(len(alphabet)) + self._first()
            ids = lookup[_code_points("".join(letters))]
            lengths = np.array([len(text) for text in letters], dtype=np.int64)
            end = END
        if not self.eos:
            return ids, lengths
        return np.insert(ids, np.cumsum(lengths), end).astype(np.int16), lengths + 1

    def _first(self) -> int:
        return END + self.eos


def _code_points(text: str) -> NDArray[np.int32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<i4")
