"""What this machine holds, and the refusal of what it does not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from harness.errors import EnvironmentProblem
from harness.launch.options import Sweep
from harness.platforms import cpus as cpus


def memory_bytes() -> int:
    """Main memory of this machine."""
    return int(psutil.virtual_memory().total)


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them. Asks no CUDA library."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(index) for index in range(len(list(folder.iterdir())))] if folder.is_dir() else []


def gpu_bytes() -> int | None:
    """Memory of the smallest GPU that this process may use, as nvidia-smi tells it; None where it tells nothing."""
    if not (names := gpus()):
        return None
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", f"--id={','.join(names)}"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
        return min(int(line) for line in said.splitlines()) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def here() -> dict[str, float]:
    """This machine as Ray would count it."""
    return {"CPU": float(cpus()), "GPU": float(len(gpus()))}


def refuse(sweeps: Iterable[Sweep], nodes: Iterable[Mapping[str, float]], slots: int | None = None) -> None:
    """Raise EnvironmentProblem when no single node can hold a trial; Ray would let it wait for ever."""
    available = list(nodes)
    for sweep in (kind for one in sweeps for kind in one.kinds()):
        wanted = {"CPU": sweep.cpus_per_trial, "GPU": sweep.gpus_per_trial}
        if not any(all(node.get(kind, 0.0) >= amount for kind, amount in wanted.items()) for node in available):
            held = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in available)
            raise EnvironmentProblem(
                f"'{sweep.name}' asks for {wanted['CPU']:g} CPUs and {wanted['GPU']:g} GPUs per trial, but the largest "
                f"machine at hand has less ({held or 'no node is alive'}). Lower cpus_per_trial or gpus_per_trial "
                f"under [resources], or run where there are more."
            )


def slots(sweep: Sweep, wanted: int | None) -> int:
    """Trials at once on this machine: as many as it holds of its largest arm, one when they must be alone, `wanted`
    when given.
    """
    if sweep.exclusive:
        return 1
    processors, share = (
        max(getattr(kind, name) for kind in sweep.kinds()) for name in ("cpus_per_trial", "gpus_per_trial")
    )
    fits = [int(cpus() / processors)] if processors > 0 else []
    if share > 0:
        fits.append(int(len(gpus()) / share) if share >= 1 else len(gpus()) * sharers(share))
    return wanted or max(1, min(fits, default=cpus()))


def threads(sweep: Sweep) -> int:
    """Threads of one trial: its processors, all of them when it is alone, and never none."""
    return cpus() if sweep.exclusive else max(1, int(sweep.cpus_per_trial))


def hidden_gpus(sweep: Sweep) -> dict[str, str]:
    """The variable that hides every GPU from a trial that asked for none: nobody counts how many would share it."""
    return {"CUDA_VISIBLE_DEVICES": ""} if sweep.gpus_per_trial <= 0 and not sweep.exclusive else {}


def sharers(share: float) -> int:
    """How many trials of a share below one a single GPU holds."""
    return int(1 / share + 1e-9)


def gpu_of(slot: int, share: float) -> dict[str, str]:
    """The variable that shows slot number `slot` its GPUs; shares below one put several slots on one GPU."""
    names = gpus()
    if share <= 0 or not names:
        return {}
    first, count = (slot // sharers(share), 1) if share < 1 else (slot * int(share), int(share))
    chosen = [names[index % len(names)] for index in range(first, first + count)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(chosen)}
