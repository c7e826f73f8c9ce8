"""A user's own basis, backend and task take part in a trial without forking the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.records import read

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "tests" / "plugin" / "own_parts.py"
STUDY = """
question = "Does a plugin train?"
expect = "Yes."
[fixed]
task = "signs"
dt = {min = 0.1, max = 0.5}
model = {d_model = 8, d_state = 8, n_layers = 1, structure = "diagonal"}
backend = "wrapped"
training = {steps = 60, batch_size = 16, evaluations = 2}
[compare]
basis = [{name = "chirp", rate = 2.0}]
"""


def harness(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(cwd)},
    )


def test_own_parts_train_above_chance(tmp_path: Path) -> None:
    study = tmp_path / "own.toml"
    study.write_text(STUDY)
    ran = harness("trial", str(study), "--plugin", str(PLUGIN), cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    record = read(next((tmp_path / "results" / "own").glob("*.jsonl")))
    assert record.header["backend"] == "wrapped"
    assert record.header["spec"]["basis"] == {"name": "chirp", "version": 1, "rate": 2.0}
    [accuracy] = [row["value"] for row in record.metrics() if (row["split"], row["name"]) == ("test", "accuracy")]
    assert accuracy > 0.5


def test_own_parts_run_in_the_forked_child(tmp_path: Path) -> None:
    study = tmp_path / "own.toml"
    study.write_text(STUDY)
    ran = harness("run", str(study), "--plugin", str(PLUGIN), "--executor", "local", "--no-mlflow", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_an_installed_entry_point_is_found(tmp_path: Path) -> None:
    installed = tmp_path / "own-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[harness.plugins]\nown = own_parts\n")
    (tmp_path / "own_parts.py").write_text(PLUGIN.read_text())
    ran = subprocess.run(
        [sys.executable, "-m", "harness", "list"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin"},
    )
    assert "chirp" in ran.stdout
    assert "Quadratically spaced frequencies" in ran.stdout


@pytest.mark.parametrize("plugin", ["nothing.py", "no_such_module", "", "broken.py"])
def test_a_plugin_that_cannot_be_loaded_is_one_sentence(plugin: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (\n")
    ran = harness("list", "--plugin", plugin, cwd=tmp_path)
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1
