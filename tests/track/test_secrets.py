"""Credentials come from the environment and stay there: not in a record, a log, MLflow, Ray's files, on the screen."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from track_server import Line, application

from harness.track import store

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
question = "Which?"
expect = "LegT."
repeats = 1
[fixed]
task = {name = "delay", length = 64, lag = 16, evaluation_examples = 32}
dt = {min = 0.125, max = 0.125}
model = {d_model = 4, d_state = 8, n_layers = 1}
training = {steps = 20, batch_size = 16, evaluations = 2}
[compare]
basis = ["legs", "legt"]
"""
USER = "planted-user"
PLANTED = {
    "in the address": "planted-1-hunter2",
    "MLFLOW_TRACKING_PASSWORD": "planted-2-hunter2",
    "MLFLOW_TRACKING_TOKEN": "planted-3-hunter2",
    "AWS_SECRET_ACCESS_KEY": "planted-4-hunter2",
    "AWS_SESSION_TOKEN": "planted-5-hunter2",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "planted-6-hunter2",
}


def spellings() -> dict[bytes, str]:
    """What to look for: each secret as it is, and as HTTP's basic authentication spells it."""
    found = {secret.encode(): name for name, secret in PLANTED.items()}
    for name in ("in the address", "MLFLOW_TRACKING_PASSWORD"):
        found[base64.b64encode(f"{USER}:{PLANTED[name]}".encode())] = f"{name}, encoded"
    return found


def leaks(*folders: Path) -> list[str]:
    """Each file under `folders` that holds a secret, with the name of the secret."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return [f"{name} in {path}" for path in files for text, name in spellings().items() if text in path.read_bytes()]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """The way to an MLflow server whose files lie in the test's folder too."""
    folder = tmp_path / "server"
    folder.mkdir()
    store.prepare(store.default(folder))
    with application(folder / "mlflow.db", folder / "artifacts") as port:
        opened = Line(port)
        yield opened
        opened.close()


@pytest.fixture
def ray_files() -> Iterator[Path]:
    """Where Ray puts its logs; a short name, because its sockets are there too."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.long
@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.parametrize("fault", ["", "401", "dead"])
def test_a_planted_credential_is_left_nowhere(
    executor: str, fault: str, line: Line, tmp_path: Path, ray_files: Path
) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    line.fault = fault
    address = line.uri.replace("//", f"//{USER}:{PLANTED['in the address']}@")
    planted = {name: secret for name, secret in PLANTED.items() if name.isupper()}
    environment = {
        **os.environ,
        **planted,
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_TRACKING_USERNAME": USER,
        "PYTHONPATH": str(ROOT),
        "RAY_TMPDIR": str(ray_files),
    }
    said = ""
    for arguments in (("run", "study.toml", "--executor", executor), ("push", "study"), ("pull", "study"), ("doctor",)):
        done = subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        said += done.stdout + done.stderr
        assert done.returncode == 0 or (fault and arguments[0] in ("push", "pull")), said
    assert any(line.authorizations), "the credentials were used, or nothing is shown"
    assert "127.0.0.1" in said or not fault
    (tmp_path / "said").write_text(said)
    assert leaks(tmp_path, ray_files) == []
