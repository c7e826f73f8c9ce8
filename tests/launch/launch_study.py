"""A study of four trials that can be told to be slow or to go wrong once, run through the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launch_toy import HERE
from survival import end, start, survived, wait

from harness import records

STUDY = """
question = "Which?"
expect = "LegT."
repeats = 2
[fixed]
task = {name = "faulty", length = 64, lag = 16, evaluation_examples = 32, fault = "%s", at = 45}
dt = {min = 0.125, max = 0.125}
model = {d_model = 4, d_state = 8, n_layers = 1}
training = {steps = 400, batch_size = 16, evaluations = 40}
[compare]
basis = ["legs", "legt"]
"""


@dataclass(frozen=True)
class Study:
    """Four trials, slow or with a fault that happens once, in the folder `cwd`; `uri` is their MLflow store."""

    cwd: Path
    executor: str
    uri: str

    @property
    def folder(self) -> Path:
        return self.cwd / "results" / "study"

    def start(self, *more: str, **given: object) -> subprocess.Popen[str]:
        plugin = ("--plugin", str(HERE / "faulty.py"))
        command = ("run", "study.toml", "--executor", self.executor, *plugin, "--tracking-uri", self.uri)
        return start(self.cwd, *command, *more, **given)

    def begun(self) -> subprocess.Popen[str]:
        """A driver in mid-sweep: a trial has checkpoints to go on from, and most of its evaluations before it."""
        driver = self.start()
        wait(lambda: any(2 <= count <= 10 for count in self.checkpoints()), driver)
        return driver

    def mend(self) -> None:
        """Trials are no longer slow."""
        (self.cwd / "faults" / "quick").touch()

    def statuses(self) -> list[str]:
        return [state.status for state in records.scan(self.folder).values()]

    def run(self) -> None:
        code, said = end(self.start())
        assert code == 0, said

    def completed(self) -> dict[str, records.Record]:
        """Mended, and run again with the same command."""
        self.mend()
        self.run()
        return self.check()

    def check(self) -> dict[str, records.Record]:
        planned = json.loads((self.folder / ".plan.json").read_text())
        assert len(planned) == 4
        return survived(self.folder, self.uri, planned)

    def checkpoints(self) -> list[int]:
        """How many each running trial has made."""
        found = []
        for path in self.folder.glob("*.partial"):
            try:
                found.append(path.read_bytes().count(b'"row":"checkpoint"'))
            except FileNotFoundError:
                continue  # Its trial has just ended.
        return found


Make = Callable[..., Study]
"""From an executor, a fault and where the MLflow store is to be, to a study."""
