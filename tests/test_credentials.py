"""Credentials in the environment of a run reach no record, log, report, Ray file or terminal. MLflow's: tests/track."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import environment

ROOT = Path(__file__).resolve().parent.parent
PLANTED = {
    name: f"planted-{number}-hunter2"
    for number, name in enumerate(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "WANDB_API_KEY", "GITHUB_TOKEN", "PGPASSWORD")
    )
}
STUDY = """
question = "Which?"
expect = "This."
[fixed]
task = {name = "delay", length = 32, lag = 8, evaluation_examples = 16}
dt = {min = 0.1, max = 0.5}
model = {d_model = 4, d_state = 8, n_layers = 1, structure = "diagonal"}
training = {steps = 2, batch_size = 4, evaluations = 1}
[compare]
basis = ["s4d-lin", "s4d-inv", "trap"]
"""
PLUGIN = '''
from dataclasses import dataclass
from harness.bases import BASES
from harness.bases.s4d_lin import S4DLin

@dataclass(frozen=True)
class Trap(S4DLin):
    """Raises once a model is built from it."""

    def spectrum(self, n):
        raise RuntimeError("the trap sprang")

BASES["trap"] = Trap
'''


def leaks(text: bytes) -> list[str]:
    return [name for name, secret in PLANTED.items() if secret.encode() in text]


def test_what_a_record_says_of_the_machine_holds_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in PLANTED.items():
        monkeypatch.setenv(name, secret)
    environment.git.cache_clear()
    assert leaks(repr(environment.describe(1)).encode()) == []


@pytest.mark.long
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_planted_credentials_are_left_nowhere(executor: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "own.py").write_text(PLUGIN)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as ray_files:
        variables = {**os.environ, **PLANTED, "PYTHONPATH": str(ROOT), "TMPDIR": ray_files}
        said = b""
        run = ("run", "study.toml", "--plugin", "own.py", "--executor", executor)
        for arguments in (
            run,
            ("status",),
            ("report", "study"),
            ("doctor",),
            ("plan", "study.toml", "--plugin", "own.py"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "harness", *arguments],
                cwd=tmp_path, env=variables, capture_output=True, check=False, timeout=300,
            )  # fmt: skip
            said += done.stdout + done.stderr
        files = [path for folder in (tmp_path, Path(ray_files)) for path in folder.rglob("*") if path.is_file()]
        assert b"the trap sprang" in b"".join(path.read_bytes() for path in files if path.suffix == ".jsonl"), said
        assert leaks(said) == []
        assert {str(path): found for path in files if (found := leaks(path.read_bytes()))} == {}
