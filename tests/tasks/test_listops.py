"""ListOps as a task: sources, labels, references, the cache and the official files."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from listops_text import separate, write_official

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks import listops
from harness.tasks.listops import ListOps, root_oracle
from harness.tasks.listops_files import check, evaluate, read
from harness.tasks.listops_generate import generate
from harness.tasks.listops_trees import TOKENS, Rules, Trees

SMALL = ListOps(min_length=5, max_length=30, max_depth=4, train=60, val=20, test=20)
SIZES = {"train": 12, "val": 5, "test": 5}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Official files of 12, 5 and 5 expressions."""
    trees, start = generate(Rules(5, 4, 10, 60), 22, seed=0), 0
    for split, size in SIZES.items():
        write_official(tmp_path / "listops-1000", split, trees.part(start, start + size))
        start += size
    return tmp_path


def tokens_of(text: str) -> bytes:
    return bytes(TOKENS.index(word) for word in text.split())


def test_lengths_count_the_tokens_and_the_rest_is_padding() -> None:
    batch = SMALL.open(None, 0).train_batch(0, 16, order_seed=0)
    assert batch.lengths is not None and batch.x.shape == (16, batch.lengths.max())
    assert torch.equal((batch.x > 0).sum(dim=1), batch.lengths)


def test_the_splits_share_no_tree() -> None:
    splits = [{tuple(words) for words in separate(trees)} for trees in SMALL.trees(None).values()]
    assert [len(split) for split in splits] == [60, 20, 20] and len(set.union(*splits)) == 100


def test_the_trial_s_seed_does_not_change_the_data_but_the_data_seed_does() -> None:
    one, two = (next(SMALL.open(None, seed).evaluation("test", 20)) for seed in (0, 1))
    other = next(dataclasses.replace(SMALL, data_seed=1).open(None, 0).evaluation("test", 20))
    assert torch.equal(one.x, two.x) and not torch.equal(one.x, other.x)


def test_targets_stay_with_their_expressions() -> None:
    data = SMALL.open(None, 0)
    batch = data.train_batch(2, 16, order_seed=5)
    assert batch.lengths is not None
    rows = zip(batch.x.tolist(), batch.lengths.tolist(), batch.y.tolist(), strict=True)
    assert all(evaluate(bytes(row[:length])) == target for row, length, target in rows)


def test_references_are_chance_majority_and_the_root_oracle() -> None:
    references = SMALL.open(None, 0).references()
    parts = SMALL.trees(None)
    majority = np.bincount(parts["train"].values).argmax()
    assert references["chance"] == 0.1
    assert references["majority"] == (parts["test"].values == majority).mean()
    assert references["root_oracle"] == root_oracle(parts["train"], parts["test"])


def test_the_root_oracle_answers_each_operator_with_its_commonest_training_value() -> None:
    def trees(*texts: str) -> Trees:
        coded = [tokens_of(text) for text in texts]
        values = [evaluate(tokens) for tokens in coded]
        lengths = np.array([len(tokens) for tokens in coded])
        return Trees(np.frombuffer(b"".join(coded), np.uint8), lengths, np.array(values, np.uint8))

    train = trees("[MIN 0 1 ]", "[MIN 0 2 ]", "[MIN 3 4 ]", "[MAX 9 1 ]")
    test = trees("[MIN 0 5 ]", "[MIN 3 3 ]", "[MAX 9 2 ]", "[MAX 2 2 ]")
    assert root_oracle(train, test) == 0.5


def test_labels_say_what_differs_from_the_official_set() -> None:
    assert ListOps().provenance(None).labels == ("generated",)
    assert ListOps(min_length=5, max_length=30, train=60).provenance(None).labels == (
        "generated",
        "shortened: lengths 5..30 instead of 500..2000",
        "60 train examples instead of 96,000",
    )
    assert ListOps(max_length=4000, max_depth=5, max_args=4).provenance(None).labels == (
        "generated",
        "changed: lengths 500..4000 instead of 500..2000",
        "depth 5 instead of 10",
        "up to 4 arguments instead of 10",
    )


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ListOps) if field.name != "source"])
def test_every_parameter_changes_the_fingerprint(field: str) -> None:
    changed = dataclasses.replace(SMALL, **{field: getattr(SMALL, field) + 3})
    assert changed.provenance(None).fingerprint != SMALL.provenance(None).fingerprint


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"max_depth": 1}, "task.max_depth is 1; it must be at least 2."),
        ({"max_args": 1}, "task.max_args is 1; it must be at least 2."),
        ({"train": 0}, "task.train is 0; it must be at least 1."),
        ({"data_seed": -1}, "task.data_seed is -1; it must be at least 0."),
        ({"min_length": 20, "max_length": 21}, "leave no length between them (both are strict)"),
        ({"source": "official", "max_length": 100, "min_length": 5}, "task.source = 'official' reads files"),
        ({"source": "official", "data_seed": 1}, "task.source = 'official' reads files"),
    ],
)
def test_a_bad_parameter_is_one_sentence(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        ListOps(**parameters)


def test_the_second_opening_reads_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    first = SMALL.trees(None)
    monkeypatch.setattr(listops, "generate", lambda *_: pytest.fail("the trees were generated again"))
    assert all((SMALL.trees(None)[split].tokens == first[split].tokens).all() for split in first)


def test_many_processes_make_the_same_cache_at_once(cache: Path) -> None:
    program = f"from harness.tasks.listops import ListOps; print({SMALL!r}.trees(None)['test'].values.tolist())"
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    printed = {process.communicate()[0] for process in running}
    assert printed == {f"{SMALL.trees(None)['test'].values.tolist()}\n"}
    assert len(list(cache.glob("listops-*"))) == 1


def test_official_files_come_back_as_they_were_written(root: Path) -> None:
    parts = ListOps(source="official", **SIZES).trees(root)
    expected = generate(Rules(5, 4, 10, 60), 22, seed=0)
    assert [words for part in parts.values() for words in separate(part)] == separate(expected)
    assert np.concatenate([part.values for part in parts.values()]).tolist() == expected.values.tolist()


def test_official_data_is_real_and_its_subset_is_named(root: Path) -> None:
    provenance = ListOps(source="official", train=12).provenance(root)
    assert provenance.kind == "real" and provenance.labels == ("12 train examples instead of 96,000",)


def test_the_fingerprint_follows_the_official_files(root: Path) -> None:
    task = ListOps(source="official", **SIZES)
    before = task.provenance(root).fingerprint
    path = root / "listops-1000/basic_val.tsv"
    path.write_bytes(path.read_bytes().rstrip(b"\r\n"))
    assert task.provenance(root).fingerprint != before


def test_a_missing_official_file_says_where_to_get_it(root: Path) -> None:
    (root / "listops-1000/basic_val.tsv").unlink()
    with pytest.raises(EnvironmentProblem, match=r"basic_val\.tsv.*lra_release\.gz"):
        ListOps(source="official", **SIZES).provenance(root)


def test_an_official_file_with_too_few_examples_is_one_sentence(root: Path) -> None:
    with pytest.raises(UsageError, match=r"basic_val\.tsv holds 5 examples, but task\.val is 6\. Set task\.val = 5"):
        ListOps(source="official", train=12, val=6, test=5).open(root, 0)


def test_the_parenthesised_form_is_read_as_its_tokens(tmp_path: Path) -> None:
    path = tmp_path / "basic_train.tsv"
    path.write_bytes(b"Source\tTarget\r\n( ( ( [MAX 1 ) 2 ) ] )\t2\r\n")
    trees = read(path, longest=10)
    assert separate(trees) == [["[MAX", "1", "2", "]"]] and trees.values.tolist() == [2]


GOOD = b"( ( ( [MAX 1 ) 2 ) ] )\t2\r\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "line 1: expected the header 'Source<TAB>Target', got ''"),
        (b"source,target\r\n", "line 1: expected the header 'Source<TAB>Target', got 'source,target'"),
        (b"Source\tTarget\r\n", "holds no examples"),
        (b"Source\tTarget\r\n" + GOOD + b"( [MAX 1\r\n", "line 3: expected 2 columns, got 1"),
        (b"Source\tTarget\r\n" + GOOD + b"\r\n", "line 3: expected 2 columns, got 1"),
        (b"Source\tTarget\r\n" + GOOD + b"[MAX 12 2 ]\t2\r\n", "line 3: '12' is no ListOps token"),
        (b"Source\tTarget\r\n" + GOOD + b"[FIRST 1 2 ]\t2\r\n", "line 3: '[FIRST' is no ListOps token"),
        (b"Source\tTarget\r\n" + GOOD + b"\xff\xfe\t2\r\n", "is no ListOps token"),
        (b"Source\tTarget\r\n" + GOOD + b"( )\t2\r\n", "line 3: the expression is empty"),
        (b"Source\tTarget\r\n" + GOOD + b"[MAX [MIN 1 2 ]\t2\r\n", "line 3: 2 operators but 1 closing ']'"),
        (b"Source\tTarget\r\n" + GOOD + b"[MAX 1 2 ]\tten\r\n", "line 3: the target 'ten' is not a digit 0-9"),
        (b"Source\tTarget\r\n" + GOOD + b"[MAX 1 2 ]\t\r\n", "line 3: the target '' is not a digit 0-9"),
        (b"Source\tTarget\r\n[MAX 1 2 3 4 5 6 7 8 9 ]\t9\r\n", "line 2: the expression has 11 tokens, but at most 10"),
    ],
)
def test_a_malformed_line_is_one_sentence_with_file_and_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "basic_train.tsv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(sentence)) as problem:
        read(path, longest=10)
    assert str(problem.value).startswith(str(path)) and "\n" not in str(problem.value)


def test_a_file_cut_short_at_any_byte_of_its_last_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "basic_train.tsv"
    whole = b"Source\tTarget\r\n" + GOOD + GOOD
    for kept in range(len(whole) - len(GOOD) + 1, len(whole) - len(b"2\r\n") + 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(UsageError, match="line 3"):
            read(path, longest=10)


def test_verification_evaluates_every_line(root: Path, tmp_path: Path) -> None:
    assert check(root / "listops-1000/basic_train.tsv").startswith("12 examples of ")
    path = tmp_path / "wrong.tsv"
    path.write_bytes(b"Source\tTarget\r\n" + GOOD + b"[MIN 1 2 ]\t2\r\n")
    with pytest.raises(UsageError, match=r"line 3: the target is 2, but the value is 1\."):
        check(path)
    path.write_bytes(b"Source\tTarget\r\n" + GOOD + b"] [MIN\t2\r\n")
    with pytest.raises(UsageError, match=r"line 3: the expression is not well formed\."):
        check(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[MIN 4 2 9 ]", 2),
        ("[MAX 4 2 9 ]", 9),
        ("[SM 4 9 9 ]", 2),
        ("[MED 4 2 9 ]", 4),
        ("[MED 1 2 ]", 1),
        ("[MED 1 4 8 9 ]", 6),
        ("[MAX 1 [SM 9 9 ] 3 ]", 8),
        ("", None),
        ("1 2", None),
        ("[MAX ]", None),
        ("[MAX 1 2", None),
        ("1 ]", None),
    ],
)
def test_expressions_have_these_values(text: str, value: int | None) -> None:
    assert evaluate(tokens_of(text)) == value
