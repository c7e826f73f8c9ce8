"""A PostgreSQL server of a test's own: a fresh cluster in a temporary folder, reached with a password."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from track_server import free_port

USER, PASSWORD = "keeper", "pg-hunter2"
BESIDE = Path("/usr/lib/postgresql")
"""Where Debian keeps what it does not link into the path."""


def programs() -> Path:
    """The folder of initdb and pg_ctl. Skips the test where there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    if versions := sorted(BESIDE.glob("*/bin/initdb")):
        return versions[-1].parent
    pytest.skip("PostgreSQL is not installed (on Debian: apt-get install postgresql)")


def _owner() -> str | None:
    """Whom to run the server as: it refuses to run as root."""
    if os.getuid() != 0:
        return None
    names = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def postgres(*databases: str) -> Iterator[dict[str, str]]:
    """The URI of each of `databases`, with its user and password in it."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed (it is in the extra `dev`)")
    here, owner, port = programs(), _owner(), free_port()
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as root:
        folder, secret = Path(root) / "data", Path(root) / "password"
        secret.write_text(PASSWORD)
        if owner:
            for path in (Path(root), secret):
                shutil.chown(path, owner)

        def call(program: str, *arguments: str) -> None:
            command = [str(here / program), *arguments]
            done = subprocess.run(
                command, cwd=root, user=owner, capture_output=True, text=True, check=False, timeout=120,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

        call("initdb", "-D", str(folder), "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
        # Nothing here outlives the test, so nothing waits for the disk.
        settings = f"-p {port} -k {root} -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off"
        call("pg_ctl", "-D", str(folder), "-l", f"{root}/log", "-o", settings, "-w", "start")
        try:
            at = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}"
            for name in databases:
                _create(f"{at}/postgres", name)
            # Without a driver named, SQLAlchemy takes psycopg from its version 2.1 on, and psycopg2 before.
            yield {name: f"{at}/{name}".replace("postgresql", "postgresql+psycopg2", 1) for name in databases}
        finally:
            call("pg_ctl", "-D", str(folder), "-m", "immediate", "stop")


def _create(uri: str, database: str) -> None:
    import psycopg2

    connection = psycopg2.connect(uri)
    connection.autocommit = True
    try:
        connection.cursor().execute(f"CREATE DATABASE {database}")
    finally:
        connection.close()
