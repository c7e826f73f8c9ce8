"""A RayJob of KubeRay, with the question file and the command of the sweep in a ConfigMap beside it.

The manifest needs nothing of the user's disk: the image has the harness, the ConfigMap has the question. The command
lies there as a script, because KubeRay takes an entry point apart and puts it together again on its way to a shell.

Source: KubeRay's API, ray.io/v1 (RayJob, RayCluster); Ray's "KubeRay authentication".
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from harness.cluster.command import Command
from harness.cluster.node import MEMORY_GIB, Node
from harness.cluster.template import filled, yaml, yaml_block
from harness.cluster.words import Word, label

SWEEP = "/sweep"
"""Where the pods see the ConfigMap."""
SHARED = "/shared"
"""Where they see the claim: records, and checkpoints unless these go elsewhere."""
RETRIES = 5
"""Clusters made anew after one that failed, each going on where the last stopped."""


@dataclass(frozen=True)
class Cluster:
    """What Kubernetes is asked for."""

    name: Word
    node: Node
    workers: int
    image: str
    claim: str
    ray_version: str
    namespace: str | None = None
    secret: str | None = None
    time_s: int | None = None


def rayjob(cluster: Cluster, command: Command, files: Mapping[str, str]) -> str:
    """The manifest; `files` are the texts of the ConfigMap by name, the question file's among them."""
    memory = cluster.node.memory_gib or MEMORY_GIB
    script = f"exec {shlex.join(command.words('--address', 'auto'))}\n"
    return filled(
        "rayjob.yaml",
        yaml,
        cluster=cluster,
        name=label(cluster.name),
        config=f"{label(cluster.name)}-sweep",
        memory=f"{max(1, round(memory * 1024))}Mi",
        files={**files, "run.sh": f"#!/bin/sh\n{script}"},
        block=lambda text: yaml_block(text, indent=2),
        retries=RETRIES,
    )
