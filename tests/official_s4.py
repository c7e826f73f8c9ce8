"""Our kernels beside the official code itself: `python tests/official_s4.py PATH/TO/s4/models/s4/s4.py`.

It writes results/official-s4.json. The file is the reader's copy of https://github.com/state-spaces/s4, whose own
imports (einops, pytorch_lightning) must be there; nothing of it is part of this project. It asks PyKeOps for its GPU
backend alone, which is answered with the one of the processor here. Its module trains C~ = C (1 - Abar^L) where ours
trains C, and takes C~ as it is, so what ours pays for C~ is in our times alone.

One process, one thread, N = 64, H = 256, LegS, float32, contestants in turns; the official KeOps route is timed twice a
round. A contestant whose kernel is off by over 1 % of the float64 recurrence is not timed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.util
import json
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pykeops.torch
import torch

from harness import environment
from harness.kernels.backend import DPLR, Request
from harness.kernels.keops import KeOps
from harness.kernels.krylov import Krylov
from harness.kernels.reference import recurrence
from harness.report.statistics import ratio_interval
from harness.throughput.clock import Clock
from harness.throughput.workload import leaves

OUT = Path(__file__).resolve().parent.parent / "results" / "official-s4.json"
N, H = 64, 256
ROUNDS = {4096: 11, 16384: 5}
OFFICIAL = "official, KeOps"
OURS = {"krylov": Krylov(), "krylov(squarings=float32)": Krylov(squarings="float32"), "keops": KeOps()}
WRONG = 1e-2
Kernel = Callable[[], torch.Tensor]


class OnProcessor(pykeops.torch.Genred):
    """A reduction that is done where the tensors are."""

    def __call__(self, *tensors: torch.Tensor, **options: Any) -> torch.Tensor:
        return super().__call__(*tensors, **{**options, "backend": "CPU"})


def official(path: Path) -> Any:
    """The module at `path`."""
    pykeops.torch.Genred = OnProcessor
    spec = importlib.util.spec_from_file_location("official_s4", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours(theirs: Any) -> DPLR:
    """The state space of their module, before it makes C~ of C."""
    dt, A, B, C, P, _ = (value.detach() for value in theirs._get_params())
    double = torch.complex128
    return DPLR(A.to(double), B[0].to(double), P.transpose(0, 1).to(double), C.to(double), dt[:, 0].double())


def error(kernel: torch.Tensor, ssm: DPLR) -> float:
    """Of four heads, the worst: largest deviation from the float64 recurrence over the kernel's largest value."""
    few = torch.arange(0, H, H // 4)
    picked = {f.name: getattr(ssm, f.name)[:, few] if f.name == "C" else getattr(ssm, f.name)[few]
              for f in dataclasses.fields(ssm)}  # fmt: skip
    true = recurrence(DPLR(**picked), "bilinear", kernel.shape[-1])
    return float(((kernel[:, few] - true).abs().amax(-1) / true.abs().amax(-1)).max())


def measured(s4: Any, length: int) -> dict[str, Any]:
    """Errors, medians of forward and of forward and backward, and how many times as fast as the official code."""
    torch.manual_seed(0)
    module = s4.SSMKernelDPLR(
        d_model=H, l_max=length, d_state=N, init="legs", rank=1, n_ssm=H, dt_min=1e-3, dt_max=1e-1, backend="keops"
    )
    ssm, request = ours(module), Request("dplr", "bilinear", H, N, length, rank=1)
    leafy, parameters = leaves(ssm)
    calls: dict[str, tuple[Kernel, list[torch.Tensor]]] = {OFFICIAL: (lambda: module()[0], list(module.parameters()))}
    for name, backend in OURS.items():
        calls[name] = (lambda backend=backend: backend.kernel(leafy, request), parameters)
    with torch.no_grad():
        errors = {name: error(make(), ssm) for name, (make, _) in calls.items()}
    right = [name for name, one in errors.items() if one <= WRONG]
    assert OFFICIAL in right, f"The official kernel is off by {errors[OFFICIAL]:.1e}."
    cotangent = torch.randn(1, H, length)

    def forward(name: str) -> object:
        with torch.no_grad():
            return calls[name][0]()

    def both(name: str) -> object:
        make, wanted = calls[name]
        return torch.autograd.grad(make(), wanted, cotangent)

    return {"errors": errors} | {
        what: turns({name: functools.partial(call, name) for name in right}, ROUNDS[length])
        for what, call in {"forward": forward, "forward and backward": both}.items()
    }


def turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Median seconds of each call, and how many times as fast as the official one it is, its own second timing too."""
    again = {**calls, f"{OFFICIAL}, again": calls[OFFICIAL]}
    times: dict[str, list[float]] = {name: [] for name in again}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in again.items():
            times[name].append(Clock("cpu")(call))
    ratios = {name: vars(ratio_interval(times[OFFICIAL], seconds)) for name, seconds in times.items()}
    return {name: {"median_s": statistics.median(times[name]), "times_as_fast": ratios[name]} for name in times}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="models/s4/s4.py of the official code")
    path = parser.parse_args().path
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    s4 = official(path)
    blob = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout.strip()
    lengths = {str(length): measured(s4, length) for length in ROUNDS}
    about = {"command": "python tests/official_s4.py PATH/TO/s4/models/s4/s4.py", "blob": blob, "heads": H, "state": N}
    OUT.write_text(json.dumps({**about, **environment.describe(1), "lengths": lengths}, indent=1) + "\n")
    print(OUT.read_text())


if __name__ == "__main__":
    main()
