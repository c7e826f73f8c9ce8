"""`harness logs`: the right attempt of the right trial, and never a file elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import UsageError
from harness.launch.log import file, heading
from harness.records import Row, Writer

FIRST, SECOND = "aa0000000001", "ab0000000002"


def write(results: Path, trial_id: str, seed: int, *rows: Row) -> None:
    writer = Writer(results / "mine", trial_id)
    about = {"name": "mine", "arm": {"basis": "legs", "dt": "2/lag"}}
    spec = {"kind": "train", "seed": seed, "basis": {"name": "legs"}, "dt": {"min": 0.1, "max": 0.1}}
    writer.write({"row": "header", "schema": 1, "trial_id": trial_id, "spec": spec, "ablation": about})
    for row in rows:
        writer.write(row)
    writer.close()


def log(results: Path, trial_id: str, *printed: str) -> None:
    path = file(results / "mine", trial_id)
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(heading(number) + text for number, text in enumerate(printed, 1)))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A trial that failed and was then done, and one that raised and printed nothing."""
    past = [{"status": "error", "reason": "killed by SIGSEGV"}]
    attempt = {"row": "attempt", "attempt": 2, "history": past}
    write(tmp_path, FIRST, 0, attempt, {"row": "end", "status": "done", "reason": "", "attempt": 2})
    raised = {"row": "end", "status": "error", "reason": "ValueError: no", "traceback": "Traceback ...\n", "attempt": 1}
    write(tmp_path, SECOND, 1, raised)
    log(tmp_path, FIRST, "the stack of the fault\n", "a warning\n")
    return tmp_path


def said(results: Path, *arguments: str) -> tuple[str, str]:
    ran = CliRunner().invoke(app, ["logs", *arguments, "--results", str(results)])
    if ran.exception is not None:
        raise ran.exception
    return ran.stdout, ran.stderr


@pytest.mark.parametrize(
    "name", [FIRST, "aa", "legs+2/lag+0", "basis legs, dt 2/lag, seed 0", "legs · dt 2/lag · seed 0"]
)
def test_a_trial_goes_by_its_id_the_ids_beginning_and_its_names(results: Path, name: str) -> None:
    printed, ended = said(results, name)
    assert printed == "a warning\n"
    assert ended == f"mine/{FIRST} (basis legs, dt 2/lag, seed 0): attempt 2 of 2 ended done\n"


def test_an_earlier_attempt_can_be_asked_for(results: Path) -> None:
    printed, ended = said(results, FIRST, "--attempt", "1")
    assert printed == "the stack of the fault\n" and "attempt 1 of 2 ended error: killed by SIGSEGV" in ended


def test_a_trial_that_printed_nothing_says_so_with_its_traceback(results: Path) -> None:
    printed, ended = said(results, "ab")
    assert printed == "Traceback ...\n" and "ended error: ValueError: no, and printed nothing" in ended


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a"], "'a' are 2 trials"),
        (["zz"], "No trial is called 'zz'"),
        (["../../secret"], "No trial is called"),
        ([""], "No trial is called ''"),
        ([FIRST, "--attempt", "3"], "has had 2 attempts, so none of number 3"),
        ([FIRST, "--of", "yours"], "There are no records of 'yours'"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(results: Path, arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        said(results, *arguments)


def test_an_empty_folder_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There are no records in"):
        said(tmp_path, FIRST)


def test_neither_a_header_nor_a_link_leads_out_of_the_folder(results: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.log").write_text("a secret")
    path = results / "mine" / f"{SECOND}.jsonl"
    honest = path.read_text()
    path.write_text(honest.replace(f'"trial_id":"{SECOND}"', '"trial_id":"../../secret"'))
    with pytest.raises(UsageError, match="No trial is called"):
        said(results, "ab")
    path.write_text(honest)
    file(results / "mine", SECOND).unlink(missing_ok=True)
    file(results / "mine", SECOND).symlink_to(tmp_path / "secret.log")
    with pytest.raises(UsageError, match="leads out of"):
        said(results, "ab")


def test_following_ends_with_the_trial_and_loses_nothing(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    third = "ac0000000003"
    write(results, third, 2)
    log(results, third, "begun\n")
    more = iter(["begun\nmore\n", "begun\nmore\nlast\n"])

    def meanwhile(_: float) -> None:
        log(results, third, next(more))
        if "last" in file(results / "mine", third).read_text():
            write(results, third, 2, {"row": "end", "status": "done", "reason": "", "attempt": 1})

    monkeypatch.setattr(sys.modules["time"], "sleep", meanwhile)
    printed, ended = said(results, "ac", "--follow")
    assert printed == "begun\nmore\nlast\n" and ended.endswith("attempt 1 of 1 ended done\n")


def test_a_running_trial_shows_what_it_has_printed_so_far(results: Path) -> None:
    write(results, "ac0000000003", 2)
    printed, ended = said(results, "ac")
    assert printed == "" and "still runs, or was cut and has printed nothing yet" in ended
