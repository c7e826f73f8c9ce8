"""Stand-ins for `harness.trial.run`, each with a real fault. They run in the child."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

import harness
from harness.errors import Diverged, Unsupported

Emit = Callable[[dict[str, Any]], None]


def run(
    job: dict[str, Any],
    emit: Emit,
    *,
    data_root: Path | None = None,
    checkpoints: Path,
    kept_rows: int = 0,
    attempt: int = 1,
    history: Sequence[Mapping[str, str]] = (),
    stop: Callable[[], bool] = lambda: False,
    threads: int | None = None,
) -> str:
    """Counts to `steps`, a checkpoint at each step, and does at `at` what `fault` names.

    With `once`, the fault happens in the first attempt only; with `at` -1 it happens before the first row.
    """
    spec = job["spec"]
    steps, fault, at = spec.get("steps", 3), spec.get("fault", ""), spec.get("at", 1)
    if at < 0 and attempt == 1:
        FAULTS[fault](emit)
    step, rows = _found(checkpoints, kept_rows)
    if step:
        emit({"row": "resume", "rows": rows})
    else:
        step, rows = 0, 1
        emit({"row": "resume", "rows": 0})
        emit(_header(job, checkpoints))
    if attempt > 1:
        emit({"row": "attempt", "attempt": attempt, "resumed_step": step, "history": list(history), "time": 0.0})
        rows += 1
    while step < steps:
        if stop():
            return _end(emit, "interrupted", "asked to stop", attempt)
        if step == at and fault and not (spec.get("once") and attempt > 1):
            status = FAULTS[fault](emit)
            if status:
                return _end(emit, *status, attempt)
        for _ in range(spec.get("polls", 0)):
            stop()
            time.sleep(0.1)
        time.sleep(spec.get("pause_s", 0.0))
        emit({"row": "metric", "name": "loss", "value": 1.0 / (step + 1), "unit": "", "step": step, "split": "train",
              "time": time.time(), "attempt": attempt})  # fmt: skip
        step, rows = step + 1, rows + 2
        checkpoints.mkdir(parents=True, exist_ok=True)
        (checkpoints / f"{rows:08d}.pt").write_text(str(step))
        emit({"row": "checkpoint", "step": step, "time": time.time(), "attempt": attempt})
    return _end(emit, "done", "", attempt)


def _found(checkpoints: Path, kept_rows: int) -> tuple[int, int]:
    """Step and rows of the newest checkpoint that the record reaches."""
    files = sorted(path for path in checkpoints.glob("*.pt") if int(path.stem.partition("-")[0]) <= kept_rows)
    return (int(files[-1].read_text()), int(files[-1].stem.partition("-")[0])) if files else (0, 0)


def _header(job: dict[str, Any], checkpoints: Path) -> dict[str, Any]:
    return {"row": "header", "schema": 1, "trial_id": job["trial_id"], "created": time.time(), "spec": job["spec"],
            "ablation": job["ablation"], "data": {"fingerprint": "f1"}, "pid": os.getpid(),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "checkpoints": str(checkpoints),
            "code": harness.__file__}  # fmt: skip


def _end(emit: Emit, status: str, reason: str, attempt: int) -> str:
    emit({"row": "end", "status": status, "reason": reason, "seconds": 0.0, "peak_memory_bytes": None,
          "attempt": attempt, "time": time.time()})  # fmt: skip
    return status


def _raises(emit: Emit) -> None:
    raise ValueError("the trial's own mistake")


def _diverges(emit: Emit) -> None:
    raise Diverged("the loss is nan at step 1")


def _unsupported(emit: Emit) -> None:
    raise Unsupported(["The backend is for GPUs."])


def _segfault(emit: Emit) -> None:
    ctypes.string_at(0)


def _freezes(emit: Emit) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _holds_the_lock(emit: Emit) -> None:
    """Native code that keeps the interpreter's lock: no thread of the child can run."""
    ctypes.PyDLL(None).sleep(3600)


def _sleeps(emit: Emit) -> None:
    time.sleep(3600)


def _hogs(emit: Emit) -> None:
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20)) * 20)
        time.sleep(0.01)


def _starts_a_hog(emit: Emit) -> None:
    with subprocess.Popen([sys.executable, "-c", "kept = b'1' * (3 << 29); import time; time.sleep(60)"]):
        pass


def _no_memory(emit: Emit) -> None:
    raise MemoryError("of the toy")


def _killed(emit: Emit) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _loses_its_supervisor(emit: Emit) -> None:
    """Its parent is the fork server, whose parent is the supervisor."""
    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)
    time.sleep(3600)


def _leaves(emit: Emit) -> None:
    os._exit(3)


def _large_row(emit: Emit) -> None:
    emit({"row": "array", "name": "kernel/initial", "values": [0.5] * 200_000})


def _floods(emit: Emit) -> None:
    _large_row(emit)
    _sleeps(emit)


def _prints(emit: Emit) -> None:
    os.write(2, b"a library's chatter\n")


FAULTS: dict[str, Callable[[Emit], Any]] = {
    "raises": _raises,
    "diverges": _diverges,
    "unsupported": _unsupported,
    "segfault": _segfault,
    "freezes": _freezes,
    "holds_the_lock": _holds_the_lock,
    "sleeps": _sleeps,
    "hogs": _hogs,
    "starts_a_hog": _starts_a_hog,
    "no_memory": _no_memory,
    "killed": _killed,
    "loses_its_supervisor": _loses_its_supervisor,
    "leaves": _leaves,
    "large_row": _large_row,
    "floods": _floods,
    "prints": _prints,
}
