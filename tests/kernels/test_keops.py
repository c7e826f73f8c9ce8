"""KeOps: it runs where its compiler is, says so where it is not, and hides nothing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from kernel_cases import SHAPES, check, request_for, sample

from harness.kernels import keops_sums
from harness.kernels.backend import Request
from harness.kernels.keops import KeOps
from harness.kernels.probe import probe

REQUEST = Request("diagonal", "zoh", 1, 2, 8)
needs_keops = pytest.mark.skipif(bool(KeOps().unsupported(REQUEST)), reason=" ".join(KeOps().unsupported(REQUEST)))


@needs_keops
def test_keops_passes_its_probe_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    assert probe("keops").ran
    printed = capfd.readouterr()
    assert "KeOps" not in printed.out + printed.err


@needs_keops
def test_keops_without_gradients_equals_keops_with_them() -> None:
    request = request_for("diagonal", "zoh", "float32", SHAPES[3])
    check(KeOps(), request)
    ssm = sample(request)
    assert (KeOps().kernel(ssm, request) == KeOps().kernel(ssm, replace(request, gradients=False))).all()


@needs_keops
def test_one_formula_serves_dplr_of_every_rank() -> None:
    request = request_for("dplr", "bilinear", "float32", SHAPES[2])
    check(KeOps(), request)
    compiled = keops_sums.compiled.cache_info().misses
    for rank in (1, 3):
        check(KeOps(), replace(request, rank=rank))
    assert keops_sums.compiled.cache_info().misses == compiled


@needs_keops
def test_a_failing_compiler_is_surfaced(tmp_path: Path) -> None:
    broken = tmp_path / "broken-compiler"
    broken.write_text("#!/bin/sh\necho 'cc1plus: out of luck' >&2\nexit 1\n")
    broken.chmod(0o755)
    program = "from harness.kernels.probe import probe; print(probe('keops'))"
    environment = {**os.environ, "CXX": str(broken), "KEOPS_CACHE_FOLDER": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert "PyKeOps could not compile" in done.stdout
    assert "out of luck" in done.stdout


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert any("'no-such-compiler' is not on the path" in reason for reason in KeOps().unsupported(REQUEST))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert any("pip install pykeops" in reason for reason in KeOps().unsupported(REQUEST))
