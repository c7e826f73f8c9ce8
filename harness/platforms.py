"""What relies on Linux, what stands in for it on macOS, and what is not supported there. `harness doctor` prints it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

from harness.errors import EnvironmentProblem

ELSEWHERE: Mapping[str, str] = {
    "fork server": "each trial starts in a fresh process, which loads torch for some seconds; elsewhere than on Linux "
    "a fork of a process that has loaded it is not safe",
    "parent-death signal": "a thread of each trial ends it with its killed driver, which it cannot while native code "
    "holds the interpreter's lock; such a trial has to be killed by hand",
    "/proc/vmstat": "a trial that the system kills for memory ends `error`, killed by SIGKILL, and is not tried again "
    "with less memory; memory_gib under [resources] ends it `out_of_memory` before that",
    "/proc/driver/nvidia": "no GPU is looked for; trials run on the processor",
    "sched_setaffinity": "timings are not kept on some of the processors, and vary more",
    "mallopt": "memory that a timed call frees goes back to the system, and getting it again is in its time",
    "/proc/self/clear_refs": "the peak memory of a timed call is not measured; the record has a row `unmeasured`",
    "/proc/meminfo": "the memory that is free is not known; a timed call is held against all that the machine has",
}
"""What Linux has, and what is so without it."""
_PR_SET_PDEATHSIG = 1


def linux() -> bool:
    """Whether everything in `ELSEWHERE` is there."""
    return sys.platform.startswith("linux")


def cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_windows() -> None:
    """Raises EnvironmentProblem on Windows, whose processes lack the signals and file locks that are used here."""
    if sys.platform == "win32":
        raise EnvironmentProblem("Windows is not supported. Use Linux, or the Windows Subsystem for Linux.")


def die_with_parent() -> bool:
    """Have the kernel kill this process with the one that forked it; whether it will."""
    set_option = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None) if linux() else None
    return set_option is not None and bool(set_option(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0)


def require_peak_memory() -> None:
    """Raises EnvironmentProblem where a process cannot set back the high-water mark of its memory."""
    if not linux():
        raise EnvironmentProblem(f"The peak memory of a call is measured on Linux, and this is {sys.platform}.")
