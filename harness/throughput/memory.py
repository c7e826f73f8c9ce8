"""Peak memory of single calls: `python -m harness.throughput.memory`, a job as a line of JSON in, an answer out.

Torch is imported once; each job then runs in a process forked from that, which has allocated nothing before. The peak
is that of a second call, above what the process holds after the first, which may compile: the high-water mark of
resident memory (VmHWM), set back through /proc/self/clear_refs, or what CUDA's allocator counts. The parent sets
glibc's thresholds so that freed memory goes back at once, and the second call cannot live on what the first has left.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from harness.throughput.contestant import parse
from harness.throughput.inputs import timer_of, workload
from harness.throughput.plugged import adopt
from harness.throughput.workload import Workload

Job = Mapping[str, Any]
"""`spec`, `contestant`, `direction`, `heads` (null for all), `device`, `plugged`."""
Answer = dict[str, Any]


def main() -> None:
    """Answer the jobs of standard input until it ends; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        adopt(job["plugged"])
        if job["spec"]["timer"]["name"] in ("step", "recipe"):
            import torch._dynamo  # noqa: F401  An optimiser's first step imports this, for seconds.
        gc.freeze()  # What is loaded so far is no garbage, and looking through it would cost each job a moment.
        print(json.dumps(forked(job)), file=answers, flush=True)


def forked(job: Job) -> Answer:
    """{"bytes": peak} of a job, or {"reason": why there is none}, measured in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            answer: Answer = {"bytes": peak_bytes(job)}
        except BaseException as fault:
            answer = {"reason": f"{type(fault).__name__}: {fault}", "ended": False}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if text:
        return dict(json.loads(text))
    how = signal.Signals(status & 127).name if status & 127 else f"exit code {status >> 8}"
    reason = f"Its call in a process of its own was ended by {how}, as happens where memory runs out."
    return {"reason": reason, "ended": True}


def peak_bytes(job: Job) -> int:
    """What the job's call adds to the memory of this process, at its peak."""
    spec, device = job["spec"], job["device"]
    timer = timer_of(spec)
    torch.set_num_threads(timer.threads)
    torch.set_flush_denormal(True)
    call = _call(workload(spec, device, job["heads"]), job)
    call()
    gc.collect()
    before = _marked(device)
    kept = call()
    peak = _peak(device) - before
    del kept
    return max(0, peak)


def _call(inputs: Workload, job: Job) -> Callable[[], object]:
    timer = timer_of(job["spec"])
    bound = inputs.call(parse(job["contestant"], timer.applied, timer.may_be_given))
    return bound.both if job["direction"] == "both" else bound.forward


def _marked(device: str) -> int:
    """Set the high-water mark back; what is held now. Raises OSError where this kernel does not let a process do so."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak(device: str) -> int:
    if device == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    return _status("VmHWM")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
