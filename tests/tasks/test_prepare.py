"""Preparing: what a trial reads is there beforehand, checked, and fetched where it may be."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from release import write as write_pathfinder
from typer.testing import CliRunner
from written_copies import reviews, write_aan, write_reviews

from harness.bases import BASES
from harness.cli import app
from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.kernels import KERNELS
from harness.registry import lookup
from harness.tasks import TASKS, lra_archive
from harness.tasks import prepare as module
from harness.tasks.files import DataFile, find
from harness.tasks.listops import ListOps
from harness.tasks.pathfinder import Pathfinder
from harness.tasks.prepare import prepare
from harness.tasks.retrieval import Retrieval
from harness.tasks.text import Text

SMALL: dict[str, dict[str, Any]] = {
    "listops": {"min_length": 5, "max_length": 30, "max_depth": 4, "train": 60, "val": 25, "test": 25},
    "text": {"max_length": 50, "val": 20},
    "retrieval": {"max_length": 60},
    "image": {"train": 50, "val": 30, "test": 25},
    "pathfinder": {"difficulty": "easy", "train": 50, "val": 30, "test": 25},
    "pathx": {"difficulty": "easy", "train": 24, "val": 8, "test": 8},
}
"""Tasks that keep what they made."""


@pytest.fixture(params=list(SMALL))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made_already(*_: object) -> None:
    pytest.fail("it was made while a trial waited")


def test_what_is_prepared_is_what_a_trial_reads(name: str, small_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = lookup("task", TASKS, name)(**SMALL[name])
    made = prepare(task, small_root)
    assert made.entry is not None and made.size > 0 and made.fetched == made.mended == ()
    assert made.provenance == task.provenance(small_root)
    monkeypatch.setattr("harness.tasks.cache._write", made_already)
    assert task.open(small_root, 0).sizes


def test_a_damaged_entry_is_made_again(name: str, small_root: Path) -> None:
    task = lookup("task", TASKS, name)(**SMALL[name])
    entry = prepare(task, small_root).entry
    assert entry is not None
    path = max(entry.glob("*.npy"), key=lambda one: one.stat().st_size)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert prepare(task, small_root).mended == (path.stem,)
    assert path.read_bytes() == content and prepare(task, small_root).mended == ()


@pytest.mark.parametrize("name", sorted(set(TASKS) - set(SMALL)))
def test_a_task_that_draws_its_data_has_nothing_to_prepare(name: str) -> None:
    made = prepare(lookup("task", TASKS, name)(), None)
    assert made.entry is None and made.provenance.kind == "generated"


def test_a_missing_file_with_an_address_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(file: DataFile, data_root: Path) -> Path:
        assert file.url.endswith("aclImdb_v1.tar.gz")
        return write_reviews(data_root, "archive", reviews())

    monkeypatch.setattr(module, "download", fake)
    task = Text(max_length=50, val=20)
    assert [path.name for path in prepare(task, tmp_path).fetched] == ["aclImdb_v1.tar.gz"]
    assert prepare(task, tmp_path).fetched == ()


def test_nothing_is_fetched_when_it_is_forbidden_or_there_is_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "download", lambda *_: pytest.fail("it was fetched"))
    for root, fetch in ((tmp_path, False), (None, True)):
        with pytest.raises(EnvironmentProblem, match=r"aclImdb_v1\.tar\.gz"):
            prepare(Text(), root, fetch=fetch)


def archive(root: Path, members: dict[str, bytes]) -> Path:
    path = root / "lra_release.gz"
    with tarfile.open(path, "w:gz") as out:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return path


def aan_members(root: Path) -> dict[str, bytes]:
    write_aan(root / "made")
    folder = root / "made" / "tsv_data"
    found = {f"lra_release/lra_release/tsv_data/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    return {"lra_release/tsv_data/new_aan_pairs.test.tsv": b"an outer copy", **found, "lra_release/other": b"x"}


@pytest.mark.parametrize("inner_last", [True, False])
def test_the_files_of_lra_come_out_of_its_archive_the_inner_copy_of_two(tmp_path: Path, inner_last: bool) -> None:
    members = aan_members(tmp_path)
    archive(tmp_path, members if inner_last else dict(reversed(members.items())))
    made = prepare(Retrieval(max_length=60), tmp_path)
    assert [path.name for path in made.fetched] == [f"new_aan_pairs.{name}.tsv" for name in ("train", "eval", "test")]
    assert all(path.read_bytes() == members[f"lra_release/lra_release/tsv_data/{path.name}"] for path in made.fetched)


def pathfinder_members(root: Path) -> dict[str, bytes]:
    """A release of pictures as the archive holds it, beside an outer copy that is not to be used."""
    write_pathfinder(root / "made" / "pathfinder32")
    files = sorted(path for path in (root / "made").rglob("*") if path.is_file())
    inner = {f"lra_release/lra_release/{path.relative_to(root / 'made')}": path.read_bytes() for path in files}
    return {"lra_release/pathfinder32/curv_contour_length_14/metadata/0.npy": b"an outer copy", **inner}


def test_the_pictures_of_lra_come_out_of_its_archive(tmp_path: Path) -> None:
    members = pathfinder_members(tmp_path)
    archive(tmp_path, members)
    made = prepare(Pathfinder(source="official"), tmp_path)
    assert made.fetched == (tmp_path / "lra_release/lra_release/pathfinder32",)
    found = {str(one.relative_to(tmp_path)): one.read_bytes() for one in made.fetched[0].rglob("*") if one.is_file()}
    assert found == {name: content for name, content in members.items() if "lra_release/lra_release" in name}


@pytest.mark.parametrize("cut", [300, 2000])
def test_of_a_cut_archive_no_folder_of_pictures_is_left(tmp_path: Path, cut: int) -> None:
    path = archive(tmp_path, pathfinder_members(tmp_path))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UsageError, match=r"lra_release\.gz is damaged or cut short"):
        prepare(Pathfinder(source="official"), tmp_path)
    assert not list((tmp_path / "lra_release").rglob("*pathfinder32*"))


def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    archive(root, {"lra_release/lra_release/pathfinder32/../../../../out": b"x"})
    with pytest.raises(UsageError, match="leads out of its folder"):
        prepare(Pathfinder(source="official"), root)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_a_cut_archive_of_lra_is_one_sentence(tmp_path: Path) -> None:
    path = archive(tmp_path, aan_members(tmp_path))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UsageError, match=r"lra_release\.gz is damaged or cut short"):
        prepare(Retrieval(max_length=60), tmp_path)


def test_an_archive_that_lacks_a_file_is_one_sentence(tmp_path: Path) -> None:
    archive(tmp_path, {"lra_release/other": b"x"})
    with pytest.raises(UsageError, match=r"lra_release\.gz holds no tsv_data/new_aan_pairs\.train\.tsv"):
        prepare(Retrieval(max_length=60), tmp_path)
    assert find(lra_archive.FILE, tmp_path) is not None


def test_only_the_official_listops_reads_files() -> None:
    assert ListOps().reads() == () and len(ListOps(source="official").reads()) == 3


@pytest.mark.parametrize("name", SMALL)
def test_every_file_that_a_task_reads_is_in_the_inventory(name: str) -> None:
    component = lookup("task", TASKS, name)
    for source in ({}, {"source": "official"}, {"source": "aclcite"}):
        try:
            task = component(**source)
        except (TypeError, HarnessError):
            continue
        assert set(task.reads()) <= set(component.files())


def told(*arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["data", *arguments])
    return ran.exit_code, f"{ran.output}{ran.exception or ''}"


def test_the_command_says_what_is_ready_and_its_fingerprint(small_root: Path) -> None:
    settings = ("--set", "max_length=50", "--set", "task.val=20")
    code, said = told("prepare", "text", *settings, "--data-root", str(small_root))
    fingerprint = Text(max_length=50, val=20).provenance(small_root).fingerprint
    assert code == 0 and f"ready   fingerprint {fingerprint}" in said and "checksums match" in said


def test_the_command_takes_the_tasks_of_an_ablation_each_once(tmp_path: Path, small_root: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        'question = "?"\nexpect = "?"\n[fixed]\ntask = {name = "text", val = 20}\n'
        'dt = {min = 1e-3, max = 1e-1}\n[compare]\nbasis = ["legs", "legt"]\ntask.max_length = [40, 50]\n'
    )
    code, said = told("prepare", str(path), "--data-root", str(small_root))
    assert code == 0, said
    assert said.count("ready   fingerprint") == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["prepare", "txt"], "Unknown task 'txt'. Did you mean 'text'?"),
        (["prepare", "text", "--set", "max_lengt=3"], "The task 'text' has no parameter 'max_lengt'."),
        (["prepare", "text", "--set", "val=many"], 'task.val is "many": input should be a valid integer.'),
        (["prepare", "text"], "reads aclImdb_v1.tar.gz, but no data root"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str) -> None:
    code, said = told(*arguments)
    assert code and sentence in said


def test_verification_ends_with_three_when_a_file_is_wrong(small_root: Path) -> None:
    code, said = told("verify", "--data-root", str(small_root))
    assert code == 3 and "WRONG" in said


def test_a_plugin_s_task_is_prepared_like_any_other(tmp_path: Path) -> None:
    own = Path(__file__).parents[1] / "plugin" / "own_parts.py"
    before = [(table, dict(table)) for table in (TASKS, BASES, KERNELS)]
    try:
        code, said = told("prepare", "signs", "--plugin", str(own))
    finally:
        for table, entries in before:
            table.clear()
            table.update(entries)
    assert code == 0 and "drawn while training" in said
