"""The asking end of `harness.throughput.memory`: one server for a trial, one process for each call that is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from harness import platforms
from harness.errors import EnvironmentProblem, HarnessError
from harness.throughput.plugged import plugged

THRESHOLD_BYTES = 65536
"""Larger blocks glibc maps one by one, and gives back when they are freed."""


class Unmeasured(HarnessError):
    """The peak memory of a call could not be measured."""


class Ended(Unmeasured):
    """The process that ran the call was ended from outside, as happens where memory runs out."""


class Meter:
    """Peak bytes of the calls of one spec. The server starts at the first question, and ends with the context."""

    def __init__(self, spec: Mapping[str, Any], device: str) -> None:
        self.spec, self.device = spec, device
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            if kind is not None:
                self._server.kill()
            self._server.wait()

    def peak_bytes(self, contestant: str, direction: str, heads: int | None = None) -> int:
        """Of one call, with all heads or some. Raises Unmeasured with the reason when it does not come to its end."""
        job: dict[str, Any] = {"spec": self.spec, "contestant": contestant, "direction": direction, "heads": heads}
        job |= {"device": self.device, "plugged": plugged()}
        try:
            if self.device == "cpu":
                platforms.require_peak_memory()
        except EnvironmentProblem as elsewhere:
            raise Unmeasured(str(elsewhere)) from None
        server = self._server = self._server or self._started()
        assert server.stdin is not None and server.stdout is not None
        try:
            server.stdin.write(json.dumps(job) + "\n")
            server.stdin.flush()
            line = server.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Unmeasured("The process that measures memory has ended; its words are in the trial's log.")
        answer = json.loads(line)
        if "reason" in answer:
            raise (Ended if answer["ended"] else Unmeasured)(answer["reason"])
        return int(answer["bytes"])

    def _started(self) -> subprocess.Popen[str]:
        threshold = str(THRESHOLD_BYTES)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "MALLOC_MMAP_THRESHOLD_": threshold,
            "MALLOC_TRIM_THRESHOLD_": threshold,
        }
        command = [sys.executable, "-m", "harness.throughput.memory"]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True)
