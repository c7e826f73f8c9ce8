"""Two real Ray nodes on one machine, which share no results folder: what a cluster must do when one of them dies."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from launch_toy import described, job, options, rows, sweep, until
from survival import survived

import harness
from harness import records
from harness.errors import EnvironmentProblem, UsageError
from harness.launch.sweep import run
from harness.track import Mirror

RAY = Path(sys.executable).with_name("ray")


@dataclass
class Node:
    """A raylet with its own temporary folder, started outside the project."""

    process: subprocess.Popen[bytes]
    scratch: Path

    def kill(self) -> None:
        """SIGKILL to all of it at once, as if its power had failed."""
        if self.process.poll() is not None:
            return
        every = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
        for one in every:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()


@dataclass
class Cluster:
    address: str
    folder: Path
    nodes: dict[str, Node]

    def start(self, name: str, *options: str) -> None:
        scratch = self.folder / name
        scratch.mkdir()
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "RAY_ADDRESS")}
        environment |= {"TMPDIR": str(scratch)}
        with (scratch / "log").open("wb") as log:
            process = subprocess.Popen(
                [RAY, "start", *options, "--num-cpus=1", "--object-store-memory=80000000", "--block"],
                cwd=scratch,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.nodes[name] = Node(process, scratch)

    def is_up(self, name: str) -> bool:
        return "Ray runtime started" in self.log(name)

    def log(self, name: str) -> str:
        return (self.nodes[name].scratch / "log").read_text()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head and a worker, one processor each; their paths are short, as Ray's sockets need."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"{ray.util.get_node_ip_address()}:{port}"
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        made = Cluster(address, Path(folder), {})
        monkeypatch.setenv("RAY_TMPDIR", folder)
        # Nodes and driver must agree on it, and a token left in this user's home is not for all of them.
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        try:
            made.start("a", "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}/ray")
            assert until(lambda: made.is_up("a")), made.log("a")
            made.start("b", f"--address={address}")
            assert until(lambda: made.is_up("b")), made.log("b")
            yield made
        finally:
            for node in made.nodes.values():
                node.kill()


def nodes_of(folder: Path, seed: int, cluster: Cluster) -> list[str]:
    """The node on which the trial of this seed keeps its checkpoints, by its temporary folder; none once it ended."""
    try:
        header = records.decode((folder / f"{seed:012x}.jsonl.partial").read_text().splitlines()[0])
    except FileNotFoundError:
        return []
    return [name for name, node in cluster.nodes.items() if header["checkpoints"].startswith(str(node.scratch))]


@pytest.mark.long
@pytest.mark.fault
def test_a_node_killed_in_mid_sweep_costs_no_trial(cluster: Cluster, tmp_path: Path) -> None:
    folder, storage = tmp_path / "results" / "toy", tmp_path / "storage"
    given: dict[str, Any] = {"executor": "ray", "address": cluster.address, "storage": str(storage)}

    with pytest.raises(UsageError, match=r"has 2 machines .* give --storage"):
        run([sweep(folder, job(1))], options(executor="ray", address=cluster.address))
    with pytest.raises(EnvironmentProblem, match=r"2 GPUs per trial, but .*1 CPUs and 0 GPUs"):
        run([sweep(folder, job(1), gpus_per_trial=2)], options(**given))

    jobs = [described(job(seed, steps=20, pause_s=0.5)) for seed in range(4)]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    given["mirror"] = Mirror([folder], uri, interval_s=0.5)
    code: list[int] = []
    driver = threading.Thread(target=lambda: code.append(run([sweep(folder, *jobs)], options(**given))))
    driver.start()

    def on_b() -> list[int]:
        begun = [seed for seed in range(4) if list(folder.glob(f"{seed:012x}.jsonl*"))]
        stored = [seed for seed in begun if len(list(storage.glob(f"toy/checkpoints/{seed:012x}/*.pt"))) > 1]
        return [seed for seed in stored if nodes_of(folder, seed, cluster) == ["b"]]

    assert until(on_b, seconds=120)
    [lost] = on_b()
    cluster.nodes["b"].kill()
    driver.join(timeout=300)
    assert code == [0]
    survived(folder, uri, [one["trial_id"] for one in jobs])

    [again] = [row for row in rows(folder, lost) if row["row"] == "attempt"]
    assert again["resumed_step"] > 0 and again["history"][0]["status"] == "interrupted"
    headers = [rows(folder, seed)[0] for seed in range(4)]
    assert all("runtime_resources" in header["code"] for header in headers), "the code was sent, not found"
    assert {header["code"] for header in headers}.isdisjoint({harness.__file__})
    assert not list((storage / "toy" / "checkpoints").glob("*/*")), "no checkpoint outlives its trial"
    assert not (folder / "checkpoints").exists()
