"""The tasks pathfinder and pathx: splits, references, provenance, and the released pictures, whole and damaged."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import release
import torch

from harness.errors import EnvironmentProblem, UsageError
from harness.tasks import pathfinder_files
from harness.tasks.inventory import verify
from harness.tasks.pathfinder import Pathfinder, PathX
from harness.tasks.pathfinder_arrays import dot_distance
from harness.tasks.pathfinder_files import LEVELS, check
from harness.tasks.prepare import prepare
from harness.tasks.task import Data

SMALL = {"train": 6, "val": 3, "test": 3}
HARD = LEVELS["hard"]


def levels(data: Data, split: str) -> np.ndarray:
    (batch,) = data.evaluation(split, 10_000)
    return np.rint(batch.x[..., 0].numpy() * 255).astype(np.uint8)


def together(data: Data) -> set[tuple[bytes, int]]:
    parts = [data.train_batch(step, 1, 0) for step in range(data.sizes["train"])]
    parts += [batch for split in ("val", "test") for batch in data.evaluation(split, 1)]
    return {(np.rint(one.x[0, :, 0].numpy() * 255).astype(np.uint8).tobytes(), int(one.y[0])) for one in parts}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    release.write(tmp_path / "root" / "pathfinder32")
    return tmp_path / "root"


def test_the_defaults_are_those_of_the_arena() -> None:
    for task, length in ((Pathfinder(), 1024), (PathX(), 16384)):
        assert (task.max_length, task.outputs, task.difficulty) == (length, 2, "hard")
        assert (task.train, task.val, task.test) == (160_000, 20_000, 20_000)
        assert task.provenance(None).labels == ("generated",)


def test_pixels_are_between_0_and_1_as_in_the_official_code(root: Path) -> None:
    x = Pathfinder(source="official", **SMALL).open(root, 0).train_batch(0, 6, 0).x
    assert x.dtype == torch.float32 and x.shape == (6, 1024, 1) and (x.amin(), x.amax()) == (0.0, 1.0)


def test_the_released_pictures_are_read_with_their_labels(root: Path, tmp_path: Path) -> None:
    x, y = release.write(tmp_path / "again" / "pathfinder32")
    expected = {(one.tobytes(), int(label)) for one, label in zip(x, y, strict=True)}
    assert together(Pathfinder(source="official", **SMALL).open(root, 0)) == expected


def test_metadata_as_the_generator_writes_it_is_read_too(root: Path) -> None:
    before = together(Pathfinder(source="official", **SMALL).open(root, 0))
    for path in (root / "pathfinder32" / HARD / "metadata").iterdir():
        rows = [line.split() for line in path.read_text().splitlines()]
        with path.open("wb") as out:
            np.save(out, np.array(rows))
    assert together(Pathfinder(source="official", **SMALL).open(root, 0)) == before


def test_the_trial_s_seed_changes_nothing_and_the_data_seed_deals_anew(root: Path) -> None:
    same = [levels(Pathfinder(source="official", **SMALL).open(root, seed), "test") for seed in (1, 2)]
    assert (same[0] == same[1]).all()
    others = [levels(Pathfinder(source="official", data_seed=seed, **SMALL).open(root, 1), "test") for seed in (0, 1)]
    assert (others[0] != others[1]).any()


@pytest.mark.parametrize("source", ["generated", "official"])
def test_more_training_pictures_leave_val_and_test_as_they_are(source: Any, root: Path) -> None:
    small, large = (Pathfinder(source=source, train=train, val=3, test=3).open(root, 0) for train in (4, 6))
    assert all((levels(small, split) == levels(large, split)).all() for split in ("val", "test"))
    assert together(small) < together(large)


def test_the_fingerprint_follows_one_pixel_of_the_release_and_every_parameter(root: Path) -> None:
    marks = [Pathfinder(source="official", **SMALL).provenance(root).fingerprint]
    picture = root / "pathfinder32" / HARD / "imgs" / "2" / "sample_1.png"
    changed = np.zeros((32, 32), np.uint8)
    picture.unlink()
    picture.with_name("new").write_bytes(release.png(changed))
    picture.with_name("new").rename(picture)
    marks.append(Pathfinder(source="official", **SMALL).provenance(root).fingerprint)
    tasks = [Pathfinder(**SMALL), Pathfinder(size=64, **SMALL), Pathfinder(difficulty="easy", **SMALL), PathX(**SMALL)]
    tasks += [Pathfinder(size=128, **SMALL), Pathfinder(data_seed=1, **SMALL)]
    marks += [task.provenance(None).fingerprint for task in tasks]
    assert len(set(marks)) == len(marks)


def test_the_packed_release_is_mended_and_its_fingerprint_stays(root: Path) -> None:
    task = Pathfinder(source="official", **SMALL)
    first = prepare(task, root)
    assert first.entry is not None
    path = first.entry / "x.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = prepare(task, root)
    assert again.mended == ("x",) and path.read_bytes() == content and again.provenance == first.provenance


def test_labels_say_what_is_not_the_arena_s(root: Path) -> None:
    assert Pathfinder(size=64, difficulty="easy", train=10, val=20_000, test=5).provenance(None).labels == (
        "generated",
        "64 x 64 pixels instead of 32 x 32",
        "easy instead of hard",
        "10 train pictures instead of 160,000",
        "5 test pictures instead of 20,000",
    )
    official = Pathfinder(source="official", **SMALL).provenance(root)
    assert official.kind == "real" and "generated" not in official.labels


def test_references_are_chance_majority_and_the_distance_of_the_dots() -> None:
    references = Pathfinder(difficulty="easy", train=200, val=10, test=200).open(None, 0).references()
    assert list(references) == ["chance", "majority", "dot_distance"] and references["chance"] == 0.5


@pytest.mark.parametrize(("labels", "accuracy"), [([0, 0, 1, 1], 1.0), ([1, 1, 0, 0], 1.0), ([0, 1, 1, 0], 0.75)])
def test_the_best_threshold_on_the_distance_is_found_in_both_directions(labels: list[int], accuracy: float) -> None:
    distance = np.array([9, 4, 25, 36], dtype=np.int32)
    truth = np.array(labels, dtype=np.uint8)
    assert dot_distance(distance, truth, distance, truth) == accuracy


Damage = Callable[[Path], object]


def line(number: int, old: str, new: str) -> Damage:
    """Replace a word in a line of metadata/2.npy."""

    def damage(level: Path) -> None:
        path = level / "metadata" / "2.npy"
        lines = path.read_text().splitlines()
        lines[number - 1] = lines[number - 1].replace(old, new, 1)
        path.write_text("\n".join(lines) + "\n")

    return damage


def content(name: str, value: bytes) -> Damage:
    return lambda level: (level / name).write_bytes(value)


SECOND = "metadata/2.npy, line 2: "
PICTURE = "imgs/2/sample_1.png"
GRAY = np.zeros((32, 32), np.uint8)


def pickled(level: Path) -> None:
    with (level / "metadata" / "2.npy").open("wb") as out:
        np.save(out, np.array([{"a": 1}], dtype=object))


def truncated(level: Path) -> None:
    (level / PICTURE).write_bytes((level / PICTURE).read_bytes()[:80])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (content(PICTURE, b""), SECOND + ".*sample_1.png is an empty file"),
        (truncated, SECOND + ".*sample_1.png is no whole PNG"),
        (content(PICTURE, b"<html>404</html>"), SECOND + ".*sample_1.png is no whole PNG"),
        (lambda level: (level / PICTURE).unlink(), SECOND + ".*sample_1.png cannot be read"),
        (content(PICTURE, release.png(GRAY[:16])), SECOND + ".*is 32 x 16 in mode L; expected 32 x 32 gray levels"),
        (content(PICTURE, release.png(np.zeros((32, 32, 3), np.uint8))), SECOND + ".*in mode RGB; expected 32 x 32"),
        (line(2, " 14 ", " 6 "), SECOND + "paths of 6 dashes, but 'hard' has 14"),
        (line(2, "sample_1.png 1 ", "sample_1.png 1 2"), SECOND + "the label '2.' is not 0 or 1"),
        (line(2, " 0.5", ""), SECOND + "expected 11 columns, got 10"),
        (line(2, "imgs/2", "../2"), SECOND + "expected a picture imgs/2 sample_<number>.png, got '../2 sample_1.png'"),
        (line(2, "sample_1", "sample_\N{BULLET}"), SECOND + "not plain text"),
        (content("metadata/2.npy", b""), "metadata/2.npy names no pictures"),
        (content("metadata/2.npy", b"\x93NUMPY\x01\x00"), "metadata/2.npy cannot be read as an npy file of strings"),
        (pickled, "metadata/2.npy cannot be read as an npy file of strings"),
        (content("metadata/copy.npy", b""), "copy.npy is not named by the number of its batch"),
        (lambda level: shutil.rmtree(level / "metadata"), "metadata holds no metadata"),
    ],
)
def test_a_damaged_release_is_one_sentence_and_leaves_nothing(
    root: Path, cache: Path, damage: Damage, sentence: str
) -> None:
    damage(root / "pathfinder32" / HARD)
    with pytest.raises(UsageError, match=sentence) as problem:
        Pathfinder(source="official", **SMALL).provenance(root)
    assert "\n" not in str(problem.value)
    assert not cache.exists() or all(path.name.endswith(".lock") for path in cache.iterdir())
    (row,) = [row for row in verify(root) if row.file == "pathfinder32"]
    assert row.ok is False and re.search(sentence, row.note)


def test_the_one_picture_that_is_known_to_be_empty_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release.write(tmp_path / "pathfinder32", "easy")
    monkeypatch.setattr(pathfinder_files, "EMPTY", f"pathfinder32/{LEVELS['easy']}/{PICTURE}")
    (tmp_path / "pathfinder32" / LEVELS["easy"] / PICTURE).write_bytes(b"")
    task = Pathfinder(source="official", difficulty="easy", train=5, val=3, test=3)
    assert len(together(task.open(tmp_path, 0))) == 11


def test_too_few_pictures_say_how_many_to_ask_for(root: Path) -> None:
    with pytest.raises(UsageError, match=r"are 12, but .* is 14; lower task.train by 2"):
        Pathfinder(source="official", train=8, val=3, test=3).open(root, 0)


def test_verification_counts_the_pictures(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"curv_contour_length_14 holds 12 pictures; the release has 200,000"):
        check(root / "pathfinder32")
    monkeypatch.setattr(pathfinder_files, "PICTURES", 12)
    assert re.fullmatch(r"pictures: hard 12 \(\d+\.\d% label 1\)", check(root / "pathfinder32"))
    empty = root / "pathfinder64"
    empty.mkdir()
    with pytest.raises(UsageError, match="has none of the folders curv_baseline"):
        check(empty)


def test_the_outer_copy_of_pathfinder128_is_refused_and_the_inner_one_preferred(tmp_path: Path) -> None:
    outer = tmp_path / "lra_release" / "pathfinder128"
    outer.mkdir(parents=True)
    for call in (PathX(source="official").provenance, lambda root: check(outer)):
        with pytest.raises(UsageError, match=r"is the outer copy of pathfinder128 .* use lra_release/lra_release/"):
            call(tmp_path)
    inner = tmp_path / "lra_release" / "lra_release" / "pathfinder128"
    inner.mkdir(parents=True)
    with pytest.raises(UsageError, match=re.escape(f"{inner / HARD / 'metadata'} holds no metadata")):
        PathX(source="official").provenance(tmp_path)


def test_missing_pictures_say_where_they_were_looked_for_and_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(
        EnvironmentProblem, match=r"needs pathfinder32, .*lra_release/lra_release/pathfinder32.*lra_release.gz"
    ):
        Pathfinder(source="official").provenance(tmp_path)
    with pytest.raises(EnvironmentProblem, match="--data-root"):
        PathX(source="official").open(None, 0)


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_size_of_nothing_is_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match=f"task.{name} is 0; it must be at least 1"):
        Pathfinder(**{name: 0})
