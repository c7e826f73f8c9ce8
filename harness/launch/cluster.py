"""Ray, started here or joined at an address, and what a cluster must have before a sweep begins on it."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentProblem, UsageError
from harness.launch import machine
from harness.launch.options import Options, Sweep
from harness.launch.ray_settings import SETTINGS, GetTimeoutError, NodeAffinitySchedulingStrategy, RayError, ray
from harness.launch.stop import deaf
from harness.launch.store import Store

OBJECT_STORE_BYTES = 100_000_000
ANSWER_S = 5.0
CHECK_S = 300.0
"""Time that a node has to unpack the project and answer; an idle one takes seconds."""
NEEDED = ("torch", "numpy", "scipy", "psutil", "pyarrow", "pydantic")
"""What a trial's process imports; the project's own code is sent along."""


def connect(options: Options, sweeps: Sequence[Sweep], temp: Path) -> None:
    """Start Ray in `temp`, or join it at the address. Raises EnvironmentProblem when there is none."""
    where = f"at {options.address}" if options.address else "on this machine"
    how = _join(options.address) if options.address else _start(options, sweeps, temp)
    try:
        # Were Ray to die of the driver's signals, no trial could hand over its last rows and its checkpoint.
        with deaf():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
    except (RayError, RuntimeError, ConnectionError, ValueError, OSError) as problem:
        ray.shutdown()
        raise EnvironmentProblem(
            f"Ray does not start {where}: {problem}. `--executor local` runs the same trials without Ray."
        ) from problem


def nodes() -> list[dict[str, Any]]:
    """The nodes that trials may run on; a head without processors is none of them."""
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]


def check(options: Options) -> None:
    """Ask every node whether it has what a trial needs and sees the storage.

    Raises UsageError when nodes other than the driver's are given no storage, and EnvironmentProblem for a node that
    cannot run trials.
    """
    found = nodes()
    driver = ray.get_runtime_context().get_node_id()
    if options.storage is None and (away := [node for node in found if node["NodeID"] != driver]):
        raise UsageError(
            f"This cluster has {len(found)} machines for trials, {len(away)} of them not the driver's, and a trial may "
            f"go on from its checkpoint on any of them: give --storage, a folder that all of them share or a URI such "
            f"as s3://bucket/folder."
        )
    marker = f".harness-{uuid.uuid4().hex}"
    with tempfile.NamedTemporaryFile() as empty:
        try:
            if options.storage:
                Store(options.storage).put(Path(empty.name), marker)
        except OSError as problem:
            raise EnvironmentProblem(
                f"The storage '{options.storage}' cannot be written: {problem}. Give one that can."
            ) from None
    try:
        asked = {
            node["NodeManagerHostname"]: ray.remote(_lacks)
            .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
            .remote(options.storage, marker)
            for node in found
        }
        for host, answer in asked.items():
            if lack := _answer(answer):
                raise EnvironmentProblem(f"The machine '{host}' of the cluster {lack}.")
    finally:
        if options.storage:
            Store(options.storage).remove(marker)


def _lacks(storage: str | None, marker: str) -> str:
    """What is missing where this runs, as the end of a sentence; empty when nothing is."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"has no {', '.join(missing)}; install the project's dependencies there: pip install hippo-harness"
    if storage and marker not in Store(storage).names(""):
        return f"does not see what this one wrote to '{storage}'; give --storage that all of them share"
    return ""


def _answer(asked: Any) -> str:
    try:
        return str(ray.get(asked, timeout=CHECK_S))
    except GetTimeoutError:
        return f"gave no answer in {CHECK_S:g} s; see its Ray logs"
    except (RayError, ImportError) as problem:
        last = str(problem).strip().splitlines()[-1]
        return f"cannot run the project's code ({last}); install its dependencies there: pip install hippo-harness"


def _start(options: Options, sweeps: Sequence[Sweep], temp: Path) -> Mapping[str, Any]:
    # A machine counts as larger than it is when the user wants more slots than it has processors.
    wanted = (options.slots or 0) * max((arm.cpus_per_trial for one in sweeps for arm in one.kinds()), default=1)
    return {
        "address": "local",
        "num_cpus": int(max(machine.cpus(), wanted)),
        "num_gpus": len(machine.gpus()),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(temp),
    }


def _join(address: str) -> Mapping[str, Any]:
    if "://" in address:
        raise UsageError(
            f"--address {address}: a driver works from a machine of the cluster. Start it there, and give auto or "
            f"HOST:PORT."
        )
    if address == "auto":
        _answers(*_known())
    else:
        _answers(address, "--address")
    code = str(Path(__file__).resolve().parents[1])
    return {"address": address, "runtime_env": {"py_modules": [code], "env_vars": dict(SETTINGS)}}


def _known() -> tuple[str, str]:
    """The address that "auto" stands for and where it comes from; an empty one where Ray must look for itself."""
    if address := os.environ.get("RAY_ADDRESS"):
        return address, "RAY_ADDRESS"
    file = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir())) / "ray" / "ray_current_cluster"
    return (file.read_text().strip(), f"the file '{file}'") if file.is_file() else ("", "")


def _answers(address: str, source: str) -> None:
    """Raises EnvironmentProblem where nothing listens: Ray itself would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if not address or "://" in address:
        return
    if not colon or not port.isdigit():
        raise UsageError(f"{source} says '{address}'; give auto or HOST:PORT, such as 10.0.0.5:6379.")
    try:
        # Ray takes the loopback for this machine's own address.
        host = ray.util.get_node_ip_address() if host in ("localhost", "127.0.0.1", "[::1]") else host.strip("[]")
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except OSError as problem:
        stale = " It may be of a cluster that has ended: remove it." if source.startswith("the file") else ""
        raise EnvironmentProblem(
            f"No Ray cluster answers at {address}, which {source} names ({problem}).{stale} "
            f"Start one with `ray start --head`, or leave --address out to run on this machine."
        ) from None
