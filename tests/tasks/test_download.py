"""Fetching a file from a server on this machine that cuts, breaks, refuses or ignores what it is asked."""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import EnvironmentProblem
from harness.tasks import download as module
from harness.tasks.download import download
from harness.tasks.files import DataFile
from harness.tasks.progress import listening

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /whole; `cut` bytes at a time at /cut; what others do is said by the path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str]] = []
        """Path and range of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        first = int(re.sub(r"\D", "", wanted) or 0)
        earlier = sum(path == self.path for path, _ in self.server.asked)
        self.server.asked.append((self.path, wanted))
        content = CONTENT
        if self.path == "/missing" or (self.path == "/busy" and earlier == 0):
            self.send_error(404 if self.path == "/missing" else 503)
            return
        if self.path == "/broken":
            content = CONTENT[:-1] + b"\x00"
        if first >= len(content):
            self.send_error(416)
            return
        ranged = bool(wanted) and self.path != "/rangeless"
        rest = content[first:] if ranged else content
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if self.path != "/sizeless":
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cut = {"/cut": 300_000, "/stuck": 0 if earlier else 70_000, "/sizeless": 10_000}.get(self.path)
        self.wfile.write(rest if cut is None else rest[:cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def file(server: Server, path: str, sha256: str = SHA256) -> DataFile:
    return DataFile("things.bin", ("deeper/things.bin",), "here", check=str, url=server.url + path, sha256=sha256)


@pytest.mark.parametrize("path", ["/whole", "/cut", "/busy", "/rangeless"])
def test_the_file_is_whole_in_its_first_place_and_nothing_is_left(server: Server, tmp_path: Path, path: str) -> None:
    assert download(file(server, path), tmp_path).read_bytes() == CONTENT
    assert [one.name for one in (tmp_path / "deeper").iterdir()] == ["things.bin"]


def test_a_cut_connection_is_continued_where_it_was_cut(server: Server, tmp_path: Path) -> None:
    download(file(server, "/cut"), tmp_path)
    starts = [int(re.sub(r"\D", "", wanted) or 0) for _, wanted in server.asked]
    # Of every 300,000 bytes all but an unfinished chunk are kept.
    assert starts == [step * (300_000 // module.CHUNK) * module.CHUNK for step in range(4)]


def test_another_process_goes_on_from_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/things.bin.part").write_bytes(CONTENT[:700_000])
    assert download(file(server, "/whole"), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/whole", "bytes=700000-")]


def test_a_part_that_is_already_whole_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/things.bin.part").write_bytes(CONTENT)
    assert download(file(server, "/whole"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"another version", b"x" * 2_000_000])
def test_what_another_version_left_is_fetched_anew(server: Server, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/things.bin.part").write_bytes(left)
    assert download(file(server, "/whole"), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={len(left)}-", ""]


@pytest.mark.parametrize("path", ["/broken", "/sizeless"])
def test_a_broken_or_shortened_file_is_refused_and_not_kept(server: Server, tmp_path: Path, path: str) -> None:
    with pytest.raises(
        EnvironmentProblem, match=r"is not the file that is expected.*bring http.* from another machine"
    ):
        download(file(server, path), tmp_path)
    assert list((tmp_path / "deeper").iterdir()) == []


def test_a_connection_that_never_ends_well_keeps_what_arrived(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        EnvironmentProblem, match=r"cannot be fetched.*The 65,536 bytes that arrived are kept"
    ) as problem:
        download(file(server, "/stuck"), tmp_path)
    assert "\n" not in str(problem.value) and len(server.asked) == 1 + module.ATTEMPTS
    assert [one.name for one in (tmp_path / "deeper").iterdir()] == ["things.bin.part"]


def test_a_file_that_is_gone_is_one_sentence_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"/missing cannot be fetched \(404 .*\)\. Try again, or bring"):
        download(file(server, "/missing"), tmp_path)
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        wanted = DataFile("x", ("x",), "here", check=str, url=url)
        with pytest.raises(
            EnvironmentProblem, match=rf"^{url} cannot be fetched \(.*[Rr]efused\)\. Try again"
        ) as problem:
            download(wanted, tmp_path)
    assert len(str(problem.value).replace(str(tmp_path), "")) < 300


def test_the_listener_hears_how_far_it_is(server: Server, tmp_path: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    with listening(lambda what, done, total: heard.append((done, total))):
        download(file(server, "/cut"), tmp_path)
    assert heard[-1] == (len(CONTENT), len(CONTENT)) and heard == sorted(heard)


def test_without_a_known_digest_the_file_is_taken_as_it_comes(server: Server, tmp_path: Path) -> None:
    assert download(file(server, "/broken", sha256=""), tmp_path).read_bytes()[:-1] == CONTENT[:-1]
