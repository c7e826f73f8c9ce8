"""Small data sets in the forms of the real ones: IMDB packed, unpacked, as packed and plain lines; pairs of papers."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

FORMS = ("archive", "folder", "lines", "plain")


def reviews(train: int = 60, test: int = 40, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Half of each class, no two alike, of 9 to some 60 characters, some of two bytes; the second is a short one."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[dict[str, Any]]] = {}
    for split, size in (("train", train), ("test", test)):
        found[split] = []
        for index in range(size):
            label = int(index >= size // 2)
            words = rng.choice(["good", "bad", "naïve", "film", "1/10", '"<br />"'], rng.integers(0, 10))
            text = " ".join([f"{split[:2]} {index:05d}", *words])
            rating = int(rng.integers(1, 5) + 6 * label)
            found[split].append({"id": index % (size // 2), "label": label, "rating": rating, "text": text})
    return found


def write_reviews(root: Path, form: str, found: dict[str, list[dict[str, Any]]]) -> Path:
    """The copy's path."""
    root.mkdir(parents=True, exist_ok=True)
    if form in ("lines", "plain"):
        ending = ".jsonl.xz" if form == "lines" else ".jsonl"
        for split, rows in found.items():
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
            (root / f"imdb_{split}{ending}").write_bytes(lzma.compress(content) if form == "lines" else content)
        return root / f"imdb_train{ending}"
    files = {
        f"aclImdb/{split}/{('neg', 'pos')[row['label']]}/{row['id']}_{row['rating']}.txt": row["text"].encode()
        for split, rows in found.items()
        for row in reversed(rows)
    }
    files |= {"aclImdb/README": b"About", "aclImdb/train/unsup/0_0.txt": b"Nobody rated this."}
    if form == "folder":
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return root / "aclImdb"
    with tarfile.open(root / "aclImdb_v1.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return root / "aclImdb_v1.tar.gz"


def papers(count: int = 12) -> dict[str, str]:
    """Texts by name, the odd ones about vowels and the even ones about consonants."""
    words = ("vowel harmony analysis", "consonant cluster models")
    return {f"P{index:02d}-1": f"Paper {index:03d} on {words[index % 2]}. " * 3 for index in range(count)}


def pairs(size: int, start: int) -> list[tuple[int, str, str]]:
    """Label and names; related where both papers are about the same; no pair is there twice for starts apart."""
    names = list(papers())
    every = [(one, other) for one in range(12) for other in range(12) if one != other]
    chosen = [every[(start + index) * 7 % len(every)] for index in range(size)]
    return [(int(one % 2 == other % 2), names[one], names[other]) for one, other in chosen]


def write_aan(root: Path, train: int = 40, val: int = 25, test: int = 25) -> None:
    texts, start = papers(), 0
    (root / "tsv_data").mkdir(parents=True, exist_ok=True)
    for name, size in (("train", train), ("eval", val), ("test", test)):
        lines = [f"{label}.0\t{a}\t{b}\t{texts[a]}\t{texts[b]}\n" for label, a, b in pairs(size, start)]
        (root / "tsv_data" / f"new_aan_pairs.{name}.tsv").write_text("".join(lines))
        start += size


def write_aclcite(root: Path, train: int = 40, val: int = 25, test: int = 25) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with lzma.open(root / "aclcite_docs.jsonl.xz", "wb") as out:
        out.write("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in papers().items()).encode())
    lines, start = ["split\tlabel\tid1\tid2\n"], 0
    for name, size in (("train", train), ("eval", val), ("test", test)):
        lines += [f"{name}\t{label}\t{a}\t{b}\n" for label, a, b in pairs(size, start)]
        start += size
    (root / "aclcite_pairs.tsv").write_text("".join(lines))
