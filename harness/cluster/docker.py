"""A Dockerfile of the project at the present checkout, with what Ray and KubeRay need.

Source: Docker's Dockerfile reference; KubeRay's "Best practices" (wget for its probes, ray[default] for its jobs).
"""

from __future__ import annotations

from harness.cluster.command import Command
from harness.cluster.template import exec_form, filled
from harness.cluster.words import Word


def dockerfile(base: Word, ray_version: Word, command: Command) -> str:
    """The Dockerfile; a container of it runs the sweep unless it is told otherwise."""
    return filled("Dockerfile", exec_form, base=base, ray_version=ray_version, words=command.words()[1:])
