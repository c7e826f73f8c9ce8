"""Text: three forms of the same reviews, splits, ids, and what is said about a copy that is not right."""

from __future__ import annotations

import dataclasses
import lzma
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from written_copies import FORMS, reviews, write_reviews

from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.tasks import text_files
from harness.tasks.task import Data
from harness.tasks.text import Text
from harness.tasks.text_files import OFFICIAL, check, identity, read

SMALL = Text(max_length=64, val=20)


def examples(data: Data, split: str) -> list[tuple[bytes, int]]:
    """The texts behind the ids of a split, with their labels."""
    batches = [data.train_batch(i, 1, 0) for i in range(data.sizes["train"])] if split == "train" else None
    found = []
    for batch in batches or data.evaluation(split, 7):
        assert batch.lengths is not None
        for row, length, y in zip(batch.x, batch.lengths, batch.y, strict=True):
            found.append((bytes((row[:length] - 1).tolist()), int(y)))
    return found


def originals(split: str) -> set[tuple[bytes, int]]:
    return {(row["text"].encode()[:64], row["label"]) for row in reviews()[split]}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_as_the_same_reviews(tmp_path: Path, form: str) -> None:
    found = read(write_reviews(tmp_path, form, reviews()))
    for split, rows in reviews().items():
        assert [text.decode() for text in found[split].texts] == [row["text"] for row in rows]
        assert found[split].labels.tolist() == [row["label"] for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_a_task_reads_what_is_there(tmp_path: Path, form: str) -> None:
    path = write_reviews(tmp_path, form, reviews())
    provenance = SMALL.provenance(tmp_path)
    assert provenance.source == f"IMDB reviews as bytes, {path.name}" and provenance.kind == "real"
    assert SMALL.open(tmp_path, 0).sizes == {"train": 40, "val": 20, "test": 40}


def test_train_and_val_divide_the_training_reviews_and_labels_stay(small_root: Path) -> None:
    data = SMALL.open(small_root, seed=4)
    train, val, test = (examples(data, split) for split in ("train", "val", "test"))
    assert len(train) == 40 and len(val) == 20
    assert set(train) | set(val) == originals("train") and set(test) == originals("test")


def test_the_seed_decides_split_and_subset_but_not_the_test_reviews(small_root: Path) -> None:
    one, other = (dataclasses.replace(SMALL, train=30, test=15).open(small_root, seed) for seed in (1, 2))
    assert set(examples(one, "train")) != set(examples(other, "train"))
    assert set(examples(one, "val")) != set(examples(other, "val"))
    assert examples(one, "test") == examples(other, "test") and one.sizes["test"] == 15


def test_validation_on_the_test_set_trains_on_every_review_and_says_so(small_root: Path) -> None:
    task = Text(max_length=64, validation="test")
    data = task.open(small_root, 0)
    assert set(examples(data, "train")) == originals("train")
    assert examples(data, "val") == examples(data, "test")
    assert "validated on the test set, as LRA and S4 do" in task.provenance(small_root).labels


def test_characters_have_one_id_each_whatever_their_bytes(small_root: Path) -> None:
    data = Text(unit="char", eos=True, min_frequency=1, val=20).open(small_root, 0)
    batch = next(data.evaluation("test", 40))
    assert batch.lengths is not None
    assert sorted(batch.lengths.tolist()) == sorted(len(row["text"]) + 1 for row in reviews()["test"])
    assert (batch.x[torch.arange(40), batch.lengths - 1] == 2).all() and ((batch.x == 2).sum(1) == 1).all()


def test_the_reviews_are_coded_once_for_all_sizes_and_seeds(small_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SMALL.open(small_root, 0)
    monkeypatch.setattr("harness.tasks.text.read", lambda *_: pytest.fail("the reviews were read again"))
    dataclasses.replace(SMALL, train=10, val=5, validation="test").open(small_root, 1)
    with pytest.raises(pytest.fail.Exception):
        dataclasses.replace(SMALL, max_length=63).open(small_root, 0)


def test_the_number_of_ids_is_that_of_the_official_codes() -> None:
    sizes = {(unit, eos): Text(unit=unit, eos=eos).inputs.size for unit in ("byte", "char") for eos in (False, True)}  # type: ignore[arg-type]
    assert sizes == {("byte", False): 257, ("byte", True): 258, ("char", False): 135, ("char", True): 136}


def test_labels_say_what_differs_from_the_official_set(small_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Text().provenance(small_root).labels == ("unverified copy of IMDB",)
    monkeypatch.setattr("harness.tasks.text.OFFICIAL", {identity(small_root / "imdb_train.jsonl.xz")})
    assert Text().provenance(small_root).labels == ()
    assert Text(max_length=1000, train=2000, test=1000).provenance(small_root).labels == (
        "cut to 1,000 bytes instead of 4,096",
        "subset of 2,000 training reviews",
        "subset of 1,000 test reviews",
    )


def test_every_parameter_changes_the_fingerprint(small_root: Path) -> None:
    plain = Text(unit="char")
    changes: dict[str, Any] = {field.name: 9 for field in dataclasses.fields(Text)}
    changes |= {"unit": "byte", "eos": True, "validation": "test"}
    for name, value in changes.items():
        values = {**dataclasses.asdict(plain), name: value}
        values["vocabulary"] = 9 if name == "vocabulary" else None
        assert Text(**values).provenance(small_root).fingerprint != plain.provenance(small_root).fingerprint, name


@pytest.mark.parametrize("form", FORMS)
def test_the_fingerprint_changes_with_one_letter(tmp_path: Path, form: str) -> None:
    changed = reviews()
    changed["test"][7]["text"] += "."
    write_reviews(tmp_path / "one", form, reviews())
    write_reviews(tmp_path / "other", form, changed)
    assert Text().provenance(tmp_path / "one") != Text().provenance(tmp_path / "other")


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"max_length": 0}, "task.max_length is 0; it must be at least 1."),
        ({"max_length": 1, "eos": True}, "task.max_length is 1; it must be at least 2."),
        ({"val": 0}, "task.val is 0; it must be 1 to 25000."),
        ({"test": 25_001}, "task.test is 25001; it must be 1 to 25000."),
        ({"train": 22_501}, "task.train + task.val is 25001, but there are 25000 training reviews."),
        ({"min_frequency": 0}, "task.min_frequency is 0; it must be at least 1."),
        ({"vocabulary": 100}, "task.vocabulary is 100, but bytes have 257 ids; leave it out"),
        ({"vocabulary": 2, "unit": "char"}, "task.vocabulary is 2; it must be 3 to 32768."),
        ({"unit": "word"}, "Unknown task.unit 'word'."),
        ({"validation": "val"}, "Unknown task.validation 'val'."),
    ],
)
def test_a_bad_parameter_is_one_sentence(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        Text(**parameters)


def test_a_missing_copy_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"'text' needs aclImdb_v1\.tar\.gz.*ai\.stanford\.edu"):
        Text().provenance(tmp_path)


def test_a_small_copy_is_refused_when_more_is_asked(small_root: Path) -> None:
    with pytest.raises(UsageError, match=r"holds 60 training reviews, but task\.train and task\.val take 2501"):
        Text(max_length=64).open(small_root, 0)
    with pytest.raises(UsageError, match=r"holds 40 test reviews, but task\.test takes 41"):
        Text(max_length=64, val=20, test=41).open(small_root, 0)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _noise(path: Path) -> None:
    path.write_bytes(b"<html>404</html>")


def _other_gzip(path: Path) -> None:
    with tarfile.open(path, "w:gz"):
        pass


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_cut, "is damaged or cut short"),
        (_noise, "is damaged or cut short"),
        (lambda path: path.write_bytes(b""), "is damaged or cut short"),
        (_other_gzip, "holds no reviews for training"),
    ],
)
def test_a_broken_archive_is_one_sentence(tmp_path: Path, damage: Callable[[Path], Any], sentence: str) -> None:
    path = write_reviews(tmp_path, "archive", reviews())
    damage(path)
    with pytest.raises(UsageError, match=f"^{re.escape(str(path))} {sentence}") as problem:
        read(path)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("train/neg/0_8.txt", b"Fine.", "0_8.txt: a negative review is rated 8."),
        ("test/pos/0_5.txt", b"Fine.", "0_5.txt: a positive review is rated 5."),
        ("train/pos/7.txt", b"Fine.", "expected a name such as 0_3.txt (number, rating), got '7.txt'"),
        ("train/pos/99_7.txt", b"", "99_7.txt: the review is empty."),
        ("test/neg/99_1.txt", b"ab\xff", "99_1.txt is not UTF-8 at byte 2."),
        ("test/neg/0_1.txt", b"Twice.", ": review 0 is there twice."),
    ],
)
def test_a_wrong_file_of_the_folder_is_named(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = write_reviews(tmp_path, "folder", reviews())
    for old in (path / name).parent.glob("0_*.txt"):
        old.rename(old.with_name("0_" + ("2" if "neg" in name else "9") + ".txt"))
    (path / name).write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(sentence)) as problem:
        read(path)
    assert str(path / Path(name).parent) in str(problem.value)


def test_a_folder_that_lacks_a_part_is_one_sentence(tmp_path: Path) -> None:
    shutil.rmtree(write_reviews(tmp_path, "folder", reviews()) / "test" / "pos")
    with pytest.raises(EnvironmentProblem, match=r"aclImdb/test/pos' is missing, which belongs to"):
        Text().provenance(tmp_path)


LINE = b'{"id": 0, "label": 0, "rating": 3, "text": "Fine."}\n'


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"\n", "line 2: Expecting value"),
        (b"[]\n", "line 2: expected an object with integers id, label and rating and a string text"),
        (LINE.replace(b'"rating": 3, ', b""), "line 2: expected an object with integers id, label and rating"),
        (
            LINE.replace(b'"label": 0', b'"label": true'),
            "line 2: expected an object with integers id, label and rating",
        ),
        (LINE.replace(b'"label": 0', b'"label": 2'), "line 2: the label is 2; expected 0 or 1."),
        (LINE.replace(b'"rating": 3', b'"rating": 9'), "line 2: a negative review is rated 9."),
        (LINE.replace(b"Fine.", b""), "line 2: the review is empty."),
        (LINE.replace(b"Fine.", b"\\ud800"), "line 2: 'utf-8' codec can't encode"),
        (LINE.replace(b"Fine.", b"\xff"), "line 2: 'utf-8' codec can't decode"),
        (LINE, "line 2: review 0 is there twice."),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: bytes, sentence: str) -> None:
    path = write_reviews(tmp_path, "lines", reviews())
    path.write_bytes(lzma.compress(LINE + line))
    with pytest.raises(UsageError, match=re.escape(f"{path}, {sentence}")) as problem:
        read(path)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("kept", [0, 10, 600])
def test_cut_lines_are_one_sentence(tmp_path: Path, kept: int) -> None:
    path = write_reviews(tmp_path, "lines", reviews(600, 40))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(HarnessError, match=rf"{re.escape(str(path))} (is damaged or cut short after line|holds no)"):
        read(path)


def test_one_file_of_lines_without_the_other_is_one_sentence(tmp_path: Path) -> None:
    write_reviews(tmp_path, "lines", reviews())
    (tmp_path / "imdb_test.jsonl.xz").unlink()
    with pytest.raises(EnvironmentProblem, match=r"imdb_test\.jsonl\.xz' is missing, which belongs to"):
        Text().provenance(tmp_path)


def test_one_plain_file_of_lines_needs_the_other_plain_one(tmp_path: Path) -> None:
    write_reviews(tmp_path, "plain", reviews())
    (tmp_path / "imdb_test.jsonl").rename(tmp_path / "imdb_test.jsonl.xz")
    with pytest.raises(EnvironmentProblem, match=r"imdb_test\.jsonl' is missing, which belongs to"):
        Text().provenance(tmp_path)


def test_a_plain_file_that_is_cut_short_names_its_last_line(tmp_path: Path) -> None:
    path = write_reviews(tmp_path, "plain", reviews())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UsageError, match=rf"^{re.escape(str(path))}, line 60: Unterminated string") as problem:
        read(path)
    assert "\n" not in str(problem.value)


def test_compressed_lines_go_before_plain_ones(tmp_path: Path) -> None:
    write_reviews(tmp_path, "plain", reviews())
    path = write_reviews(tmp_path, "lines", reviews())
    assert Text().provenance(tmp_path).source.endswith(path.name)


def test_nothing_is_cached_of_a_broken_copy(tmp_path: Path, cache: Path) -> None:
    _cut(write_reviews(tmp_path, "archive", reviews()))
    with pytest.raises(UsageError):
        SMALL.open(tmp_path, 0)
    assert not list(cache.glob("text-*"))


def test_verification_counts_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_reviews(tmp_path, "lines", reviews())
    with pytest.raises(UsageError, match="train has 30 negative and 30 positive reviews; the official set has 12500"):
        check(path)
    monkeypatch.setattr(text_files, "REVIEWS", 40)
    write_reviews(tmp_path, "lines", reviews(40, 40))
    assert check(path).endswith("half of each positive; a copy whose digest is not known")


def test_the_real_reviews_are_the_official_ones(data_root: Path) -> None:
    path = data_root / "imdb_train.jsonl.xz"
    assert identity(path) in OFFICIAL
    assert Text().provenance(data_root).labels == ()


@pytest.mark.long
def test_the_real_reviews_have_their_published_counts(data_root: Path) -> None:
    found = read(data_root / "imdb_train.jsonl.xz")
    letters = {split: [len(text.decode()) for text in part.texts] for split, part in found.items()}
    # Stated with the data: 1325.06964 and 1293.7924 characters a review; the sums are whole numbers.
    assert np.mean(letters["train"]) == pytest.approx(1325.06964, abs=1e-9)
    assert np.mean(letters["test"]) == pytest.approx(1293.7924, abs=1e-9)
    assert len(Text(unit="char").coding.alphabet(found["train"].texts)) == 133


@pytest.mark.long
def test_the_real_reviews_unpacked_are_the_official_copy(data_root: Path, tmp_path: Path) -> None:
    found = {}
    for split in ("train", "test"):
        with lzma.open(data_root / f"imdb_{split}.jsonl.xz") as stream:
            found[split] = [text_files.json.loads(line) for line in stream]
    assert identity(write_reviews(tmp_path, "folder", found)) in OFFICIAL


@pytest.mark.long
def test_the_real_lines_uncompressed_are_the_official_copy(data_root: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        content = lzma.decompress((data_root / f"imdb_{split}.jsonl.xz").read_bytes())
        (tmp_path / f"imdb_{split}.jsonl").write_bytes(content)
    assert identity(tmp_path / "imdb_train.jsonl") in OFFICIAL
