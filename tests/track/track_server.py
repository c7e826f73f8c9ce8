"""MLflow servers for the tests: its application in this process, `mlflow server` in its own, a faulty line to one."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.track import store

REFUSALS = {
    "401": (401, b"You are not authenticated. Please see https://mlflow.org for instructions."),
    "403": (403, b"Invalid Host header - possible DNS rebinding attack detected"),
    "503": (503, b"Service Unavailable"),
}

ADMIN = ("admin", "admin-hunter2-long")
"""Name and password of the one user that a guarded server has at first."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Line(ThreadingHTTPServer):
    """A proxy before an MLflow server on this machine, with a `fault` that can be changed at any time.

    "" (none), "dead" (the connection is cut before anything happens), "lost" (one call in `every` is carried out and
    its answer cut off), or a key of REFUSALS. Each call takes `delay_s` more.
    """

    daemon_threads = True

    def __init__(self, upstream: int, fault: str = "", delay_s: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.upstream, self.fault, self.delay_s = upstream, fault, delay_s
        self.calls, self.every = 0, 1
        self.authorizations: set[str] = set()
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the plan."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Relay(BaseHTTPRequestHandler):
    server: Line
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        line = self.server
        line.calls += 1
        line.authorizations.add(self.headers.get("Authorization", ""))
        number, fault = line.calls, line.fault
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(line.delay_s)
        if fault == "dead":
            self.close_connection = True
            return
        if fault in REFUSALS:
            status, answer = REFUSALS[fault]
            self._answer(status, answer, {})
            return
        upstream = http.client.HTTPConnection("127.0.0.1", line.upstream, timeout=60)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers))
            answered = upstream.getresponse()
            answer = answered.read()
        except OSError:
            self.close_connection = True
            return
        finally:
            upstream.close()
        if fault == "lost" and number % line.every == 0:
            self.close_connection = True
            return
        self._answer(answered.status, answer, dict(answered.getheaders()))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def application(database: Path, artifacts: Path) -> Iterator[int]:
    """MLflow's own application on a port of this process, which is ready in a second; its server's takes five."""
    store.client(f"sqlite:///{database}")
    with pytest.MonkeyPatch.context() as patch:
        # MLflow sets the second of these itself, and leaves it.
        for name in ("_MLFLOW_SERVER_FILE_STORE", "MLFLOW_TRACKING_URI"):
            patch.setenv(name, f"sqlite:///{database}")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
        patch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", artifacts.as_uri())
        from mlflow.server import app, handlers
        from werkzeug.serving import WSGIRequestHandler, make_server

        # It keeps the stores that it has opened, which may be an earlier test's.
        for kept in ("_tracking_store", "_artifact_repo"):
            patch.setattr(handlers, kept, None)

        class Silent(WSGIRequestHandler):
            def log(self, *_: object) -> None:
                """Nothing on the terminal."""

        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


class Server:
    """A real `mlflow server` in its own process group, to be killed and started again on the same port."""

    def __init__(self, uri: str, artifacts: Path, *options: str, **environment: str) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.arguments = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        self.arguments += ["--workers", "1", "--artifacts-destination", str(artifacts), *options]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING_")}
        self.environment = {**inherited, **store.QUIET, "MLFLOW_BACKEND_STORE_URI": uri, **environment}
        self.environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        self.log = artifacts.parent / f"server-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        limit = time.monotonic() + 120
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise AssertionError(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.2)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True  # It refuses this name, and so it is there.
        except OSError:
            return False


def guarded(uri: str, artifacts: Path, users: str, *settings: str, **environment: str) -> Server:
    """A real server, still to be started, that asks for a name and a password; `users` is its database of them."""
    pytest.importorskip("flask_wtf", reason="Flask-WTF is not installed (it is in the extra `dev`)")
    lines = (
        "[mlflow]",
        "default_permission = READ",
        f"database_uri = {users}",
        f"admin_username = {ADMIN[0]}",
        f"admin_password = {ADMIN[1]}",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
        *settings,
    )
    file = artifacts.parent / "auth.ini"
    file.write_text("\n".join(lines))
    environment |= {"MLFLOW_AUTH_CONFIG_PATH": str(file), "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key"}
    return Server(uri, artifacts, "--app-name", "basic-auth", **environment)


def log_in(patch: pytest.MonkeyPatch, who: tuple[str, str]) -> None:
    patch.setenv("MLFLOW_TRACKING_USERNAME", who[0])
    patch.setenv("MLFLOW_TRACKING_PASSWORD", who[1])
