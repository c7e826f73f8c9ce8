"""The Triton kernels on the CPU, through Triton's interpreter, and what the backend says where there is neither."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernels.backend import Request
from harness.kernels.triton_backend import Triton

HERE = Path(__file__).resolve().parent
ON_CUDA = Request("dplr", "bilinear", 4, 64, 1000, rank=1, device="cuda")
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed; it is made for Linux alone"
)


@needs_triton
@pytest.mark.parametrize(
    ("file", "marked"),
    [
        ("interpreted_chunk.py", "not long"),
        ("interpreted_vandermonde.py", "not long"),
        pytest.param("interpreted_chunk.py", "long", marks=pytest.mark.long),
    ],
)
def test_the_kernels_are_right_in_the_interpreter(file: str, marked: str) -> None:
    # What is interpreted is settled when triton is imported, which other tests of this process may have done.
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", marked, "-p", "no:cacheprovider", str(HERE / file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_triton
def test_every_structure_is_served_on_cuda() -> None:
    for structure in ("diagonal", "dplr", "dense"):
        for application in ("fft", "chunked", "auto"):
            request = dataclasses.replace(ON_CUDA, structure=structure, application=application)
            assert Triton().unsupported(request) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": "cpu"}, "runs on CUDA devices"),
        ({"dtype": "float64"}, "computes in float32"),
        ({"application": "chunked", "state": 128}, "at most 64 numbers"),
    ],
)
def test_what_it_cannot_run_is_refused(change: dict[str, object], words: str) -> None:
    assert any(words in reason for reason in Triton().unsupported(dataclasses.replace(ON_CUDA, **change)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert any("pip install triton" in reason for reason in Triton().unsupported(ON_CUDA))


def test_auto_chunks_where_the_tables_fit() -> None:
    asked = dataclasses.replace(ON_CUDA, application="auto")
    assert Triton().application(asked) == "chunked"
    assert Triton().application(dataclasses.replace(asked, state=128)) == "fft"
    assert Triton().application(dataclasses.replace(asked, state=128, diagonalisable=True)) == "chunked"
    assert Triton().application(dataclasses.replace(asked, state=128, structure="diagonal")) == "chunked"
