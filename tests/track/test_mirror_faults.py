"""Whatever an MLflow server does, a sweep ends on time and every trial has one run, whole and without a repeat."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from track_records import Reader, attempt, checkpoint, done, end, header, metric, shown, told, trial_id
from track_server import Line, application

from harness import records
from harness.errors import EnvironmentProblem
from harness.track import Mirror, push
from harness.track.folder import TRIES
from harness.track.runs import Run, Runs
from harness.track.snapshot import Snapshot

pytestmark = pytest.mark.fault
ADVICE = {
    "dead": "No MLflow server answers",
    "401": "MLFLOW_TRACKING_USERNAME",
    "403": "--allowed-hosts",
    "503": "No MLflow server answers",
}


@pytest.fixture(scope="module")
def upstream(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of MLflow's application."""
    root = tmp_path_factory.mktemp("server")
    shutil.copy(template, root / "mlflow.db")
    with application(root / "mlflow.db", root / "artifacts") as port:
        yield port


@pytest.fixture
def line(upstream: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr("harness.track.mirror.FIRST_WAIT_S", 0.05)
    opened = Line(upstream)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Named by the test, because they share a server and the folder names the experiment."""
    return tmp_path / "".join(letter if letter.isalnum() else "-" for letter in request.node.name)


def until(claim: Callable[[], bool], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < limit, "it did not come true"
        time.sleep(0.02)


@pytest.mark.parametrize("fault", ADVICE)
def test_a_server_that_refuses_is_named_with_its_cure_and_gets_all_later(fault: str, line: Line, folder: Path) -> None:
    line.fault = fault
    with Mirror([folder], line.uri, interval_s=0.05) as mirror:
        done(folder, 1)
    assert ADVICE[fault] in mirror.message()
    assert "lacks 9 rows of 1 trial (" in mirror.message()
    line.fault = ""
    push(folder, line.uri)
    assert shown(line.uri, folder.name) == told(folder)


@pytest.mark.parametrize(
    "fault", ["dead", *(pytest.param(one, marks=pytest.mark.long) for one in ADVICE if one != "dead")]
)
def test_a_server_that_is_gone_in_mid_sweep_and_back_later_gets_all_from_the_sweep_itself(
    fault: str, line: Line, folder: Path
) -> None:
    folder.mkdir()
    with Mirror([folder], line.uri, interval_s=0.05) as mirror:
        writer = records.Writer(folder, trial_id(1))
        for row in (header(1), metric(0), checkpoint(0)):
            writer.write(row)
        until(lambda: not mirror.undelivered())
        line.fault = fault
        for row in (attempt(2, 1), metric(1), checkpoint(1), metric(2)):
            writer.write(row)
        until(lambda: bool(mirror.problem))
        line.fault = ""
        until(lambda: not mirror.undelivered())
        writer.write(end())
    assert mirror.message() == ""
    assert shown(line.uri, folder.name) == told(folder)


@pytest.mark.parametrize("every", [17, *(pytest.param(calls, marks=pytest.mark.long) for calls in (19, 23, 29))])
def test_answers_that_are_lost_make_no_second_run_and_no_second_row(every: int, line: Line, folder: Path) -> None:
    """An ended trial takes up to 16 calls from the first look to the last word, so each push gets somewhere."""
    for trial in range(3):
        done(folder, trial)
    line.fault, line.every = "lost", every
    for _ in range(10):
        with suppress(EnvironmentProblem):
            push(folder, line.uri)
            break
    else:
        pytest.fail("ten pushes did not deliver it")
    line.fault = ""
    assert shown(line.uri, folder.name) == told(folder)
    assert len(Reader(line.uri, folder.name).runs("sweep")) == 1


def test_a_run_whose_making_was_never_confirmed_is_found_before_its_record_is_sent_anew(
    line: Line, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused till the last try, whose answer alone is lost: the mirror gives up, and the run is there."""
    create, left = Runs._create, iter(range(TRIES))

    def unconfirmed(runs: Runs, taken: Snapshot) -> Run:
        number = next(left, TRIES)
        if number < TRIES - 1:
            raise RuntimeError("refused")
        made = create(runs, taken)
        if number < TRIES:
            raise RuntimeError("the answer was lost")
        return made

    monkeypatch.setattr(Runs, "_create", unconfirmed)
    folder.mkdir()
    writer = records.Writer(folder, trial_id(1))
    # All before the mirror looks: each state of the file has tries of its own.
    for row in (header(1), metric(0), checkpoint(0)):
        writer.write(row)
    with Mirror([folder], line.uri, interval_s=0.05) as mirror:
        until(lambda: next(iter(mirror._folders))._given_up == {trial_id(1)})
        for row in (metric(1), checkpoint(1), end()):
            writer.write(row)
    assert mirror.message() == ""
    assert shown(line.uri, folder.name) == told(folder)


def test_a_slow_server_keeps_nobody_waiting(line: Line, folder: Path) -> None:
    folder.mkdir()
    line.delay_s = 1.0
    began = time.monotonic()
    with Mirror([folder], line.uri, interval_s=0.05, patience_s=0.2) as mirror:
        done(folder, 1)
    assert time.monotonic() - began < 1.0
    assert "lacks 9 rows of 1 trial (it took longer than 0.2 s)" in mirror.message()
    line.delay_s = 0.0
    push(folder, line.uri)
    assert shown(line.uri, folder.name) == told(folder)


@pytest.mark.long
@pytest.mark.parametrize(("fault", "delay_s"), [("dead", 0.0), ("401", 0.0), ("", 2.0)])
def test_a_dead_or_slow_server_takes_less_than_2_percent_of_a_processor(
    fault: str, delay_s: float, line: Line, folder: Path
) -> None:
    """A trial is a process of its own and the mirror a thread of the driver's: all it can take is processor time."""
    line.fault, line.delay_s = fault, delay_s
    folder.mkdir()
    seconds = 20.0
    with Mirror([folder], line.uri, patience_s=0.1) as mirror:
        clock = time.pthread_getcpuclockid(mirror._thread.ident or 0)
        writers = [records.Writer(folder, trial_id(number)) for number in (1, 2)]
        for number, writer in enumerate(writers, start=1):
            writer.write(header(number))
        began, step = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            for writer in writers:
                writer.write(metric(step))
                writer.write(checkpoint(step))
            step += 1
            time.sleep(0.02)
        spent = time.clock_gettime(clock)
        for writer in writers:
            writer.close()
    assert line.calls > 2
    assert spent < 0.02 * seconds


def test_a_server_that_is_lost_for_good_ends_a_push_at_once(line: Line, folder: Path) -> None:
    done(folder, 1)
    line.fault = "dead"
    with pytest.raises(EnvironmentProblem, match="No MLflow server answers"):
        push(folder, line.uri)
    assert line.calls == 1
