"""Texts to ids, against the definition written out one text at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from harness.tasks.coding import Coding

TEXTS = ["naïve film", "a", "good, bad; good.", "ﬁn — 終"]


def coded(coding: Coding, texts: list[str]) -> list[list[int]]:
    data = [text.encode() for text in texts]
    ids, lengths = coding.encode(data, coding.alphabet(data))
    assert ids.dtype == np.int16 and lengths.sum() == len(ids)
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]


@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize("length", [2, 5, 100])
def test_bytes_are_their_value_plus_one(eos: bool, length: int) -> None:
    end = [257] if eos else []
    expected = [[byte + 1 for byte in text.encode()[: length - eos]] + end for text in TEXTS]
    assert coded(Coding("byte", length, eos, 257 + eos, 15), TEXTS) == expected


@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize("least", [1, 2, 4])
@pytest.mark.parametrize("vocabulary", [6, 100])
def test_characters_are_ordered_by_their_count_and_the_rare_share_one_id(
    eos: bool, least: int, vocabulary: int
) -> None:
    counts = Counter("".join(TEXTS))
    kept = sorted((letter for letter in counts if counts[letter] >= least), key=lambda one: (-counts[one], ord(one)))
    ids = {letter: 2 + eos + index for index, letter in enumerate(kept) if 2 + eos + index < vocabulary}
    expected = [[ids.get(letter, 1) for letter in text] + [2] * eos for text in TEXTS]
    assert coded(Coding("char", 100, eos, vocabulary, least), TEXTS) == expected


def test_a_text_is_cut_between_characters_and_not_inside_one() -> None:
    coding = Coding("char", 3, False, 100, 1)
    assert [len(ids) for ids in coded(coding, TEXTS)] == [3, 1, 3, 3]


def test_the_alphabet_is_counted_in_whole_texts() -> None:
    long = [b"a" * 5 + b"b" * 9]
    assert Coding("char", 2, False, 100, 9).alphabet(long).tolist() == [ord("b")]


def test_bytes_that_are_no_utf_8_are_read_as_one_character_each() -> None:
    coding = Coding("char", 10, False, 100, 1)
    ids, lengths = coding.encode([b"a\xff\xfe"], coding.alphabet([b"a\xff"]))
    assert lengths.tolist() == [3] and ids[1] == ids[2] != ids[0]


def test_the_largest_id_is_below_the_vocabulary() -> None:
    every = "".join(map(chr, range(32, 400)))
    for coding in (Coding("byte", 4000, True, 258, 1), Coding("char", 4000, True, 50, 1)):
        assert max(max(ids) for ids in coded(coding, [every])) < coding.vocabulary
