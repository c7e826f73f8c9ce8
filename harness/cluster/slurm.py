"""sbatch scripts: a Ray cluster over the nodes of a job, or a job array of shards without Ray.

Source: SLURM's manual pages of sbatch, srun and scontrol; Ray's "Deploying on Slurm".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.cluster.command import Command
from harness.cluster.node import Node
from harness.cluster.template import filled, shell
from harness.cluster.words import Word

RESTARTS = 20
"""Times that a job which ran out of time queues itself again."""


@dataclass(frozen=True)
class Job:
    """What sbatch is asked for, for each node or array task."""

    name: Word
    """The sweep's, whose characters the question file's name has been checked for."""
    node: Node
    time: Word
    binaries: str
    """The folder of `harness` and `ray` on every node."""
    exclusive: bool
    partition: Word | None = None
    account: Word | None = None
    extra: Sequence[Word] = ()


def ray(job: Job, command: Command, nodes: int, port: int | None) -> str:
    """The script of a Ray cluster over `nodes` nodes, with the driver on the first."""
    words = command.words("--address")
    return filled("slurm.sh", shell, job=job, nodes=nodes, port=port or 0, words=words, restarts=RESTARTS)


def array(job: Job, command: Command, shards: int, at_once: int | None) -> str:
    """The script of a job array: task i of `shards` runs the i-th share of the plan in a plain pool.

    Without a server, MLflow is left to a later `harness push`: the tasks would all write to one SQLite file.
    """
    more = [] if command.tracking_uri else ["--no-mlflow"]
    words = command.words("--executor", "local", *more, "--shard")
    tasks = Word(f"1-{shards}" + (f"%{at_once}" if at_once else ""))
    return filled("array.sh", shell, job=job, tasks=tasks, shards=shards, words=words, restarts=RESTARTS)
