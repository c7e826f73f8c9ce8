"""`pull` is the inverse of `push`, writes nowhere else, and takes nothing from a newer record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from track_records import FOLDER, Reader, again, attempt, checkpoint, done, end, metric, trial_id, write

from harness.cli import exchange as cli
from harness.errors import EnvironmentProblem, UsageError
from harness.launch import lock
from harness.track import pull, push


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_records_come_back_byte_for_byte(folder: Path, uri: str, elsewhere: Path) -> None:
    done(folder, 1)
    write(folder, 2, metric(0, float("nan")), end("diverged", "NaN at step 0"))
    push(folder, uri)
    pulled = pull(uri, FOLDER, elsewhere)
    assert contents(elsewhere) == {f"{FOLDER}/{name}": data for name, data in contents(folder).items()}
    assert sorted(pulled.written) == [trial_id(1), trial_id(2)]


def test_a_second_pull_writes_nothing(folder: Path, uri: str, elsewhere: Path) -> None:
    done(folder, 1)
    push(folder, uri)
    pull(uri, FOLDER, elsewhere)
    assert pull(uri, FOLDER, elsewhere).written == ()
    assert pull(uri, FOLDER, elsewhere).unchanged == (trial_id(1),)


def test_what_was_pulled_can_be_pushed_again_without_a_change(folder: Path, uri: str, elsewhere: Path) -> None:
    done(folder, 1)
    push(folder, uri)
    pull(uri, FOLDER, elsewhere)
    before = Reader(uri).everything()
    push(elsewhere / FOLDER, uri)
    assert Reader(uri).everything() == before


def test_a_trial_without_an_end_is_named_and_not_written(folder: Path, uri: str, elsewhere: Path) -> None:
    write(folder, 1, metric(0), checkpoint(0))
    push(folder, uri)
    assert pull(uri, FOLDER, elsewhere).unfinished == (trial_id(1),)
    assert not elsewhere.exists()


def test_a_newer_local_record_is_not_overwritten_and_nothing_is_written(folder: Path, uri: str) -> None:
    write(folder, 1, metric(0), end("error", "it broke"))
    done(folder, 2)
    push(folder, uri)
    again(folder, 1, {"row": "resume", "rows": 2}, attempt(2, 0), end(attempt=2))
    (folder / f"{trial_id(2)}.jsonl").unlink()
    before = contents(folder)
    with pytest.raises(UsageError, match="newer"):
        pull(uri, FOLDER, folder.parent)
    assert contents(folder) == before


def test_an_older_local_record_is_replaced(folder: Path, uri: str, elsewhere: Path) -> None:
    done(folder, 1)
    push(folder, uri)
    write(elsewhere / FOLDER, 1, metric(0))
    pull(uri, FOLDER, elsewhere)
    assert contents(elsewhere / FOLDER) == contents(folder)


@pytest.mark.parametrize("name", ["../outside", "/absolute", "a/b", "..", ""])
def test_an_experiment_name_that_leaves_the_results_is_refused(name: str, uri: str, elsewhere: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a results folder"):
        pull(uri, name, elsewhere)


def test_a_trial_id_that_is_a_path_is_refused(uri: str, elsewhere: Path, folder: Path) -> None:
    done(folder, 1)
    push(folder, uri)
    reader = Reader(uri)
    reader.client.set_tag(reader.run().info.run_id, "harness.trial_id", "../../evil")
    with pytest.raises(EnvironmentProblem, match="not 12 hex digits"):
        pull(uri, FOLDER, elsewhere)
    assert not elsewhere.exists()


def test_a_damaged_artifact_is_refused(folder: Path, uri: str, results: Path, elsewhere: Path) -> None:
    done(folder, 1)
    push(folder, uri)
    (artifact,) = (results / "mlartifacts").rglob("*.jsonl")
    artifact.write_bytes(artifact.read_bytes()[:-20])
    with pytest.raises(EnvironmentProblem, match="damaged"):
        pull(uri, FOLDER, elsewhere)


def test_an_unknown_experiment_names_the_nearest(folder: Path, uri: str, elsewhere: Path) -> None:
    done(folder, 1)
    push(folder, uri)
    with pytest.raises(UsageError, match="Did you mean 'delay'"):
        pull(uri, "delai", elsewhere)


def test_machines_that_push_their_parts_of_a_sweep_share_its_parent(folder: Path, uri: str, elsewhere: Path) -> None:
    for number in (1, 2):
        done(folder, number)
    write(elsewhere / FOLDER, 3, metric(0), end("diverged", "NaN at step 0"))
    for part in (folder, elsewhere / FOLDER, folder):
        push(part, uri)
    (parent,) = Reader(uri).runs("sweep")
    assert (parent.info.status, parent.data.tags["status"]) == ("FAILED", "1 diverged, 2 done")


@pytest.mark.parametrize("command", [cli.push, cli.pull])
def test_a_folder_that_a_driver_has_is_left_to_it(
    command: Callable[[list[str], str, Path], None], folder: Path, uri: str
) -> None:
    done(folder, 1)
    with lock.driver(folder, (1, 2)), pytest.raises(EnvironmentProblem, match="is being run by process"):
        command([FOLDER], uri, folder.parent)


def test_pushing_a_folder_without_records_is_a_mistake(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UsageError, match="no trial records"):
        push(tmp_path / "nothing", uri)
