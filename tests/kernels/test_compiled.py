"""torch.compile: it answers to the recurrence, compiles once a shape, keeps nothing of size n L, and hides nothing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kernel_cases import SHAPES, Shape, check, request_for, sample

from harness.kernels import compiled
from harness.kernels.backend import Request
from harness.kernels.compiled import Compiled

REQUEST = Request("diagonal", "zoh", 1, 2, 8)
needs_compiler = pytest.mark.skipif(
    bool(Compiled().unsupported(REQUEST)), reason=" ".join(Compiled().unsupported(REQUEST))
)


@needs_compiler
@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[3]], ids=lambda shape: f"L{shape.length}")
def test_both_rules_answer_to_the_recurrence_by_one_compilation(shape: Shape) -> None:
    before = compiled.compiled.cache_info().misses
    for rule in ("zoh", "bilinear"):
        check(Compiled(), request_for("diagonal", rule, "float32", shape))
    assert compiled.compiled.cache_info().misses <= before + 1


@pytest.mark.long
@needs_compiler
def test_more_shapes_than_dynamo_allows_by_default_are_all_compiled() -> None:
    import torch._dynamo.utils as seen

    for length in range(11, 22):
        before = seen.counters["stats"]["unique_graphs"]
        check(Compiled(), request_for("diagonal", "zoh", "float32", Shape(length, 2, 3, 1)))
        assert seen.counters["stats"]["unique_graphs"] == before + 1
    torch.use_deterministic_algorithms(True)
    try:
        check(Compiled(), request_for("diagonal", "zoh", "float32", Shape(11, 2, 3, 1)))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.long
@needs_compiler
@pytest.mark.parametrize("frozen", ["A", "B", "dt"])
def test_a_frozen_parameter_has_a_graph_of_its_own(frozen: str) -> None:
    request = request_for("diagonal", "zoh", "float32", SHAPES[2])
    ssm = sample(request)
    still = dataclasses.replace(ssm, **{frozen: getattr(ssm, frozen).detach()})
    moving = [value for name, value in vars(still).items() if name != frozen]
    with torch.no_grad():
        plain = Compiled().kernel(still, request)
    gradients = torch.autograd.grad(Compiled().kernel(still, request).sum(), moving)
    assert all(torch.isfinite(torch.view_as_real(gradient + 0j)).all() for gradient in gradients)
    assert torch.equal(plain, Compiled().kernel(ssm, request).detach())


@pytest.mark.long
@needs_compiler
def test_forward_and_backward_keep_nothing_of_size_n_l() -> None:
    program = """
import resource, torch
from harness.kernels.backend import Diagonal, Request
from harness.kernels.compiled import Compiled
torch.set_num_threads(1)
H, n, L = 64, 32, 16384
A = torch.complex(-0.5 * torch.ones(H, n), torch.arange(n).expand(H, n) * torch.pi).to(torch.complex128)
ssm = Diagonal(A, torch.ones_like(A), torch.ones_like(A)[None], torch.logspace(-3, -1, H, dtype=torch.float64))
leaves = [value.requires_grad_() for value in vars(ssm).values()]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
Compiled().kernel(ssm, Request("diagonal", "zoh", H, 2 * n, 128))
before = peak()
torch.autograd.grad(Compiled().kernel(ssm, Request("diagonal", "zoh", H, 2 * n, L)).sum(), leaves)
print((peak() - before) / (4 * H * n * L))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # One H n L float32 tensor would be 1; a quarter of it is the code and the few (H, L) arrays.
    assert float(done.stdout) < 0.5


@pytest.mark.long
@needs_compiler
def test_a_forked_child_compiles_flushes_denormals_and_leaves_no_process() -> None:
    program = """
import multiprocessing, os, subprocess, torch, torch._dynamo
def child(queue):
    import sys
    sys.path.insert(0, "tests/kernels")
    from kernel_cases import Shape, check, request_for
    from harness.kernels.compiled import Compiled
    torch.set_num_threads(1)
    check(Compiled(), request_for("diagonal", "zoh", "float32", Shape(23, 2, 3, 1)))
    kept = float(torch.tensor(1e-40) / 2)
    torch.set_flush_denormal(True)
    check(Compiled(), request_for("diagonal", "zoh", "float32", Shape(24, 2, 3, 1)))
    queue.put((kept > 0, float(torch.tensor(1e-40) / 2) == 0))
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    print(queue.get(timeout=240), process.join(60), process.exitcode)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(True, True) None 0"


@needs_compiler
def test_a_failing_compiler_is_surfaced(tmp_path: Path) -> None:
    broken = tmp_path / "broken-compiler"
    broken.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && exec g++ --version\necho 'cc1plus: out of luck' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    program = "from harness.kernels.probe import probe; print(probe('compiled'))"
    environment = {**os.environ, "CXX": str(broken), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert "torch.compile could not compile" in done.stdout
    assert "out of luck" in done.stdout


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert any("'no-such-compiler' is not on the path" in reason for reason in Compiled().unsupported(REQUEST))


@pytest.mark.parametrize("name", compiled.OFF)
def test_a_switched_off_compiler_is_no_eager_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert any(name in reason for reason in Compiled().unsupported(REQUEST))
