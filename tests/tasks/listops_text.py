"""ListOps written and evaluated the slow way, apart from the harness: nested lists, recursion, `statistics`."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from harness.tasks.listops_trees import TOKENS, Trees

Tree = int | tuple[str, list["Tree"]]


def words(tokens: np.ndarray) -> list[str]:
    return [TOKENS[token] for token in tokens]


def separate(trees: Trees) -> list[list[str]]:
    return [words(tokens) for tokens in np.split(trees.tokens, np.cumsum(trees.lengths)[:-1])]


def parse(tokens: list[str]) -> Tree:
    """The tree of a prefix form; fails on anything left over."""
    tree, rest = _parse(tokens)
    assert not rest
    return tree


def _parse(tokens: list[str]) -> tuple[Tree, list[str]]:
    head, rest = tokens[0], tokens[1:]
    if head.isdigit():
        return int(head), rest
    children: list[Tree] = []
    while rest[0] != "]":
        child, rest = _parse(rest)
        children.append(child)
    return (head, children), rest[1:]


def value(tree: Tree) -> int:
    if isinstance(tree, int):
        return tree
    name, children = tree
    rule = {"[MIN": min, "[MAX": max, "[MED": lambda v: int(statistics.median(v)), "[SM": lambda v: sum(v) % 10}[name]
    return int(rule([value(child) for child in children]))


def depth(tree: Tree) -> int:
    return 1 if isinstance(tree, int) else 1 + max(depth(child) for child in tree[1])


def arities(tree: Tree) -> set[int]:
    return set() if isinstance(tree, int) else {len(tree[1])}.union(*(arities(child) for child in tree[1]))


def official(tree: Tree) -> str:
    """Left-nested binary application with spaced parentheses: `( ( ( [MAX 1 ) 2 ) ] )`."""
    if isinstance(tree, int):
        return str(tree)
    text = tree[0]
    for child in tree[1]:
        text = f"( {text} {official(child)} )"
    return f"( {text} ] )"


def write_official(folder: Path, split: str, trees: Trees) -> Path:
    """basic_<split>.tsv as the official script writes it: a header and CRLF line ends."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = zip(separate(trees), trees.values, strict=True)
    lines = ["Source\tTarget", *(f"{official(parse(tokens))}\t{target}" for tokens, target in pairs)]
    path = folder / f"basic_{split}.tsv"
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    return path
