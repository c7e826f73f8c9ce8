"""What listens while the harness works: nothing that another machine could reach, unless a cluster was asked for."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
STUDY = """
question = "Which?"
expect = "This."
[fixed]
task = {name = "delay", length = 64, lag = 16, evaluation_examples = 32}
model = {d_model = 4, d_state = 8, n_layers = 1}
training = {steps = 100000, batch_size = 16, evaluations = 400}
[compare]
basis = ["legs", "legt"]
"""


def exposed(process: psutil.Process) -> list[str]:
    """The listening sockets of a process and of all that it started which are not on loopback."""
    found = []
    for one in (process, *process.children(recursive=True)):
        try:
            sockets = one.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        listening = (socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN)
        found += [f"{one.name()} on {at.ip}:{at.port}" for at in listening if not _loopback(at.ip)]
    return found


def _loopback(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def listening(process: psutil.Process) -> int:
    every = (process, *process.children(recursive=True))
    return sum(socket.status == psutil.CONN_LISTEN for one in every for socket in one.net_connections("inet"))


def started(cwd: Path, *arguments: str) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_run_listens_on_loopback_alone(executor: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    with started(tmp_path, "run", "study.toml", "--executor", executor) as driver:
        until(
            lambda: any(
                b'"row":"checkpoint"' in path.read_bytes() for path in (tmp_path / "results").glob("*/*.partial")
            )
        )
        assert exposed(driver) == []
        assert (listening(driver) > 0) == (executor == "ray")
        driver.terminate()


@pytest.mark.long
def test_the_ui_listens_on_loopback_alone(tmp_path: Path) -> None:
    from harness.track import store

    store.prepare(store.default(tmp_path / "results"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with started(tmp_path, "ui", "--port", port) as server:
        try:
            until(lambda: listening(server))
            assert exposed(server) == []
        finally:
            server.terminate()


def test_an_open_door_would_be_seen() -> None:
    code = "import socket, time; s = socket.create_server(('0.0.0.0', 0)); time.sleep(60)"
    with psutil.Popen([sys.executable, "-c", code]) as process:
        until(lambda: listening(process))
        assert len(exposed(process)) == 1
        process.kill()
