"""A store that is dead, hangs or comes back later neither fails nor delays a sweep, and loses no row."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from track_records import Reader, checkpoint, done, metric, write

from harness.errors import EnvironmentProblem
from harness.track import Mirror, prepare, push
from harness.track.runs import Runs
from harness.track.shipping import Run
from harness.track.snapshot import Snapshot

SECRET = "hunter2"


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def hanging_port() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield server.getsockname()[1]


@pytest.fixture
def dead(closed_port: int) -> str:
    return f"http://someone:{SECRET}@127.0.0.1:{closed_port}"


def test_a_dead_server_delays_a_sweep_by_no_more_than_the_patience(folder: Path, dead: str) -> None:
    done(folder, 1)
    start = time.monotonic()
    with Mirror([folder], dead, patience_s=5.0) as mirror:
        entered = time.monotonic() - start
    assert entered < 1.0
    assert time.monotonic() - start < 5.0 + 1.0
    assert mirror.problem


def test_a_hanging_server_delays_a_sweep_by_no_more_than_the_patience(folder: Path, hanging_port: int) -> None:
    done(folder, 1)
    start = time.monotonic()
    with Mirror([folder], f"http://127.0.0.1:{hanging_port}", patience_s=1.0) as mirror:
        pass
    assert time.monotonic() - start < 1.0 + 1.0
    assert "delivers them" in mirror.message()


def test_the_message_counts_what_is_missing_and_says_what_delivers_it(folder: Path, dead: str) -> None:
    done(folder, 1, steps=3)
    write(folder, 2, metric(0), checkpoint(0), metric(1))
    with Mirror([folder], dead, patience_s=10.0) as mirror:
        pass
    # Trial 1: header, 3 metrics, 4 arrays and the end row; trial 2: header, metric and checkpoint.
    assert sorted(mirror.undelivered().values()) == [3, 9]
    assert "lacks 12 rows of 2 trials" in mirror.message()
    assert "`harness push delay`" in mirror.message()


def test_what_a_dead_server_missed_is_delivered_by_push(folder: Path, uri: str, dead: str) -> None:
    done(folder, 1)
    with Mirror([folder], dead, patience_s=10.0):
        pass
    push(folder, uri)
    assert len(Reader(uri).history()) == 3


def test_a_store_that_comes_back_gets_everything_once(folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done(folder, 1)
    failures = iter([ConnectionError("down"), ConnectionError("still down")])
    find = Runs.find

    def sometimes(self: Runs) -> None:
        if problem := next(failures, None):
            raise problem
        find(self)

    monkeypatch.setattr(Runs, "find", sometimes)
    monkeypatch.setattr("harness.track.mirror.FIRST_WAIT_S", 0.01)
    with Mirror([folder], uri, interval_s=0.05) as mirror:
        limit = time.monotonic() + 20
        while mirror.undelivered() and time.monotonic() < limit:
            time.sleep(0.05)
    assert mirror.message() == ""
    assert len(Reader(uri).runs()) == 1
    assert len(Reader(uri).history()) == 3


def test_a_run_whose_creation_was_not_answered_is_not_made_twice(
    folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(folder, 1)
    create, ping = Runs._create, Runs.ping
    answers, pings = iter([False]), iter([False])

    def unanswered(self: Runs, taken: Snapshot) -> Run:
        made = create(self, taken)
        if next(answers, True):
            return made
        raise ConnectionError("no answer")

    monkeypatch.setattr(Runs, "_create", unanswered)
    monkeypatch.setattr(Runs, "ping", lambda self: next(pings, True) and ping(self))
    Mirror([folder], uri).deliver()
    assert next(answers, None) is None
    assert len(Reader(uri).runs()) == 1
    assert len(Reader(uri).history()) == 3


def test_a_password_in_the_address_is_shown_nowhere(
    folder: Path, dead: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    done(folder, 1)
    caplog.set_level(logging.WARNING)
    with Mirror([folder], dead, patience_s=10.0) as mirror:
        pass
    with pytest.raises(EnvironmentProblem) as prepared:
        prepare(dead)
    with pytest.raises(EnvironmentProblem) as pushed:
        push(folder, dead)
    printed = capfd.readouterr()
    everything = [mirror.message(), mirror.problem, str(prepared.value), str(pushed.value), caplog.text]
    assert SECRET not in "".join([*everything, printed.out, printed.err])
    assert "127.0.0.1" in mirror.message()
