"""The official ListOps files: basic_{train,val,test}.tsv, read and checked. Torch-free.

A line is `expression<TAB>value`; the expression is written with one pair of parentheses per application, as in
`( ( ( [MAX 1 ) 2 ) ] )`, which carry no information once `[` and `]` are there and are dropped.

Source: Tay et al., Long Range Arena, `lra_benchmarks/data/listops.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.errors import UsageError
from harness.tasks.files import DataFile
from harness.tasks.listops_trees import CLOSE, FIRST_DIGIT, FIRST_OPERATOR, TOKENS, Trees

SPLITS = ("train", "val", "test")
FOLDERS = ("listops", "listops-1000", "lra_release/listops-1000", "lra_release/lra_release/listops-1000")
ORIGIN = "lra_release.gz at https://storage.googleapis.com/long-range-arena/lra_release.gz (folder listops-1000)"

_IDS = {token.encode(): index for index, token in enumerate(TOKENS) if index}
_AGAIN = f"Get the file again from {ORIGIN}."


def read(path: Path, longest: int, at_most: int | None = None) -> Trees:
    """The first `at_most` examples of a file.

    Raises UsageError naming file and line for a line that is no example or has more than `longest` tokens.
    """
    examples = list(itertools.islice(_lines(path, longest), at_most))
    if not examples:
        raise UsageError(f"{path} holds no examples. {_AGAIN}")
    lengths = np.array([len(tokens) for tokens, _ in examples], dtype=np.int64)
    values = np.array([value for _, value in examples], dtype=np.uint8)
    return Trees(np.frombuffer(b"".join(tokens for tokens, _ in examples), dtype=np.uint8), lengths, values)


def check(path: Path) -> str:
    """Evaluate every expression against its target; says how many there are, or raises UsageError naming the line."""
    count = 0
    shortest, longest = 2**31, 0
    for count, (tokens, target) in enumerate(_lines(path, longest=2000), start=1):
        value = evaluate(tokens)
        if value is None:
            raise UsageError(f"{path}, line {count + 1}: the expression is not well formed. {_AGAIN}")
        if value != target:
            raise UsageError(f"{path}, line {count + 1}: the target is {target}, but the value is {value}. {_AGAIN}")
        shortest, longest = min(shortest, len(tokens)), max(longest, len(tokens))
    if not count:
        raise UsageError(f"{path} holds no examples. {_AGAIN}")
    return f"{count:,} examples of {shortest} to {longest} tokens, every target right"


def evaluate(tokens: bytes) -> int | None:
    """The value of an expression in token ids, or None when it is not well formed."""
    operators: list[int] = []
    arguments: list[list[int]] = [[]]
    for token in tokens:
        if token == CLOSE:
            if not operators or not arguments[-1]:
                return None
            value = _apply(operators.pop(), arguments.pop())
            arguments[-1].append(value)
        elif token >= FIRST_OPERATOR:
            operators.append(token)
            arguments.append([])
        else:
            arguments[-1].append(token - FIRST_DIGIT)
    return arguments[0][0] if not operators and len(arguments[0]) == 1 else None


def _apply(operator: int, arguments: list[int]) -> int:
    name = TOKENS[operator]
    if name == "[MIN":
        return min(arguments)
    if name == "[MAX":
        return max(arguments)
    if name == "[SM":
        return sum(arguments) % 10
    ordered, count = sorted(arguments), len(arguments)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) // 2


def _lines(path: Path, longest: int) -> Iterator[tuple[bytes, int]]:
    """Token ids and target of every example."""
    with path.open("rb") as stream:
        header = stream.readline().rstrip(b"\r\n")
        if header != b"Source\tTarget":
            shown = header[:40].decode(errors="replace")
            raise UsageError(f"{path}, line 1: expected the header 'Source<TAB>Target', got '{shown}'. {_AGAIN}")
        for number, line in enumerate(stream, start=2):
            columns = line.rstrip(b"\r\n").split(b"\t")
            if len(columns) != 2:
                raise UsageError(f"{path}, line {number}: expected 2 columns, got {len(columns)}. {_AGAIN}")
            yield _tokens(columns[0], f"{path}, line {number}", longest), _target(columns[1], f"{path}, line {number}")


def _tokens(source: bytes, place: str, longest: int) -> bytes:
    words = source.translate(None, delete=b"()").split()
    try:
        tokens = bytes(map(_IDS.__getitem__, words))
    except KeyError as unknown:
        shown = unknown.args[0][:20].decode(errors="replace")
        raise UsageError(
            f"{place}: '{shown}' is no ListOps token; known are {' '.join(TOKENS[1:])}. {_AGAIN}"
        ) from None
    if not tokens:
        raise UsageError(f"{place}: the expression is empty. {_AGAIN}")
    if source.count(b"[") != source.count(b"]"):
        raise UsageError(f"{place}: {source.count(b'[')} operators but {source.count(b']')} closing ']'. {_AGAIN}")
    if len(tokens) > longest:
        raise UsageError(f"{place}: the expression has {len(tokens)} tokens, but at most {longest} are allowed.")
    return tokens


def _target(text: bytes, place: str) -> int:
    if len(text) != 1 or not text.isdigit():
        shown = text[:20].decode(errors="replace")
        raise UsageError(f"{place}: the target '{shown}' is not a digit 0-9. {_AGAIN}")
    return int(text)


FILES = {
    split: DataFile(
        name=f"basic_{split}.tsv",
        places=tuple(str(Path(folder) / f"basic_{split}.tsv") for folder in ("", *FOLDERS)),
        origin=ORIGIN,
        check=check,
        needed=False,
        archived=f"listops-1000/basic_{split}.tsv",
    )
    for split in SPLITS
}
