"""What a trial elsewhere needs comes to it, and what it leaves can only be resumed where the record has its rows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from launch_toy import ends, job, options, rows, steps, sweep

from harness import records
from harness.errors import EnvironmentProblem, UsageError
from harness.launch import actor, cluster
from harness.launch.attempts import earlier
from harness.launch.keep import Keeper
from harness.launch.options import Options, Task
from harness.launch.queue import due
from harness.launch.relay import LogTail, Outbox
from harness.launch.stop import GO
from harness.launch.store import Checkpoints, Store, checked

ID = f"{1:012x}"
HEADER = {"row": "header", "schema": 1, "trial_id": ID, "created": 0.0, "spec": {}, "ablation": {}}


def metric(step: int, value: float = 0.5) -> records.Row:
    return {"row": "metric", "name": "loss", "value": value, "step": step, "split": "train", "attempt": 1, "time": 0.0}


def mark(step: int, attempt: int = 1) -> records.Row:
    return {"row": "checkpoint", "step": step, "time": 0.0, "attempt": attempt}


def end(status: str) -> records.Row:
    return {"row": "end", "status": status, "reason": "", "attempt": 1, "time": 0.0}


def task(folder: Path) -> Task:
    return due(sweep(folder, job(1)), Options()).tasks[0]


def test_rows_that_travel_are_written_byte_for_byte_like_rows_that_do_not(tmp_path: Path) -> None:
    sent = [HEADER, metric(0, float("nan")), metric(1, 1e-300), {"row": "array", "values": [0.1, 1 / 3]}, end("done")]
    here = records.Writer(tmp_path / "here", ID)
    keeper = Keeper(task(tmp_path / "there"), None, "node")
    keeper.begin()
    box = Outbox(b"")
    for row in sent:
        here.write(row)
        box.write(row)
    keeper.take(box.take(), b"")
    keeper.end("done")
    assert (tmp_path / "there" / f"{ID}.jsonl").read_bytes() == (tmp_path / "here" / f"{ID}.jsonl").read_bytes()


def test_an_outbox_counts_and_names_checkpoints_as_the_record_does(tmp_path: Path) -> None:
    writer = records.Writer(tmp_path, ID)
    for row in (HEADER, metric(0), mark(1), metric(1), mark(2)):
        writer.write(row)
    box = Outbox(b"".join(records.resumable(tmp_path, ID)))
    assert (box.rows, box.checkpoints) == (5, [(3, 1), (5, 1)])
    for row in ({"row": "resume", "rows": 3}, {"row": "attempt", "attempt": 2}, metric(1), mark(2, attempt=2)):
        writer.write(row)
        box.write(row)
    assert (box.rows, box.checkpoints) == (writer.rows, [(3, 1), (6, 2)])
    assert box.held() == writer.held()


def test_a_supervisor_lost_before_its_first_row_costs_no_earlier_failure(tmp_path: Path) -> None:
    writer = records.Writer(tmp_path, ID)
    for row in (HEADER, end("error")):
        writer.write(row)
    keeper = Keeper(task(tmp_path), None, "node")
    keeper.begin()
    keeper.lose("interrupted", "its supervisor on one was lost")
    assert [one["status"] for one in earlier(tmp_path, ID).history] == ["error", "interrupted"]
    assert rows(tmp_path, 1)[-1]["reason"] == "its supervisor on one was lost"


def test_only_checkpoints_that_the_record_names_come_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first = Checkpoints(store, "toy/1", tmp_path / "first")
    first.fetch([])
    named = [(3, 1), (5, 1), (8, 1)]
    for at, name in enumerate(named, 1):
        (first.folder / f"{name[0]:08d}.pt").write_text(str(name))
        first.send(named[:at])
    (tmp_path / "other").write_text("an orphan's, of rows that the record does not have")
    store.put(tmp_path / "other", "toy/1/00000005-2.pt")
    second = Checkpoints(store, "toy/1", tmp_path / "second")
    second.fetch(named[:2])
    assert {path.name: path.read_text() for path in second.folder.iterdir()} == {"00000005.pt": "(5, 1)"}
    assert store.names("toy/1") == ["00000005-1.pt"]


def test_the_checkpoint_before_the_newest_is_kept_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    sent = Checkpoints(store, "toy/1", tmp_path / "here")
    sent.fetch([])
    named = []
    for rows_ in (3, 5, 8):
        named.append((rows_, 1))
        (sent.folder / f"{rows_:08d}.pt").write_text("x")
        sent.send(named)
        assert sorted(store.names("toy/1")) == [f"{number:08d}-1.pt" for number, _ in named[-2:]]


def test_two_checkpoints_of_one_step_are_both_stored_and_the_one_before_stays(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    sent = Checkpoints(store, "toy/1", tmp_path / "here")
    sent.fetch([])
    named = [(rows_, 1) for rows_ in (3, 5, 8, 11)]
    for rows_, _ in named[1:]:
        (sent.folder / f"{rows_:08d}.pt").write_text("x")
    sent.send(named[:2])
    sent.send(named)
    assert sorted(store.names("toy/1")) == [f"{number:08d}-1.pt" for number in (5, 8, 11)]
    named.append((14, 1))
    (sent.folder / "00000014.pt").write_text("x")
    sent.send(named)
    assert sorted(store.names("toy/1")) == [f"{number:08d}-1.pt" for number in (11, 14)]


@pytest.mark.parametrize("uri", ["{}/store", "file://{}/store"])
def test_a_trial_goes_on_elsewhere_from_its_store_without_gap_or_repeat(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "STEP_S", 0.2)
    one = job(1, steps=12, pause_s=0.05)

    def begun(machine: str) -> tuple[Keeper, actor.Charge]:
        [due_] = due(sweep(tmp_path / "toy", one), options()).tasks
        keeper = Keeper(due_, checked(uri.format(tmp_path)), "node")
        given = keeper.begin()
        assert isinstance(given, dict)
        return keeper, actor.Charge(given, tmp_path / machine)

    keeper, charge = begun("first")
    while b"checkpoint" not in (sent := charge.step(GO))["rows"]:
        keeper.take(sent["rows"], sent["log"])
    keeper.take(sent["rows"], sent["log"])
    charge.step(GO)
    charge.close()
    keeper.lose("interrupted", "its supervisor on first was lost, with the rows of its last step")

    keeper, charge = begun("second")
    while "outcome" not in (sent := charge.step(GO)):
        keeper.take(sent["rows"], sent["log"])
    keeper.take(sent["rows"], sent["log"])
    keeper.end(sent["outcome"]["status"])
    [again] = [row for row in rows(tmp_path / "toy", 1) if row["row"] == "attempt"]
    assert again["resumed_step"] > 0
    assert (steps(tmp_path / "toy", 1), ends(tmp_path / "toy", 1)) == ([*range(12)], ["done"])
    assert [path for name in ("first", "second", "store") for path in (tmp_path / name).rglob("*.pt")] == []


def test_a_log_is_sent_once(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "log")
    assert tail.take() == b""
    tail.path.write_text("one\n")
    assert tail.take() == b"one\n"
    tail.path.write_text("one\ntwo\n")
    assert (tail.take(), tail.take()) == (b"two\n", b"")


@pytest.mark.parametrize(
    ("uri", "says"), [("s3://me:secret@bucket/x", "in the environment"), ("no-such://x/y", "a URI such as")]
)
def test_a_storage_that_cannot_be_one_is_refused(uri: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        checked(uri)
    assert "secret" not in str(refused.value)


def test_a_folder_is_a_storage_wherever_the_driver_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked("shared") == str(tmp_path / "shared")


@pytest.mark.parametrize(
    ("address", "kind", "says"),
    [
        ("127.0.0.1:9", EnvironmentProblem, "No Ray cluster answers at 127.0.0.1:9"),
        ("ray://127.0.0.1:10001", UsageError, "from a machine of the cluster"),
        ("localhost", UsageError, "such as 10.0.0.5:6379"),
    ],
)
def test_an_address_without_a_cluster_is_refused_at_once(
    address: str, kind: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=says):
        cluster.connect(Options(address=address), [], tmp_path)


@pytest.mark.fault
def test_a_stale_address_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    file = tmp_path / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    file.write_text("127.0.0.1:9")
    with pytest.raises(EnvironmentProblem, match=f"'{file}' names .* has ended: remove it"):
        cluster.connect(Options(address="auto"), [], tmp_path)


@pytest.mark.parametrize("others", [["b"], ["a", "b"], ["b", "c"]])
def test_machines_beside_the_drivers_without_storage_are_refused(
    others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "nodes", lambda: [{"NodeID": name} for name in others])
    here = SimpleNamespace(get_node_id=lambda: "a")
    monkeypatch.setattr(cluster, "ray", SimpleNamespace(get_runtime_context=lambda: here))
    with pytest.raises(UsageError, match=rf"has {len(others)} machines .* give --storage"):
        cluster.check(Options(address="auto"))
