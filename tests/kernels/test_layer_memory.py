"""A layer of Path-X size (L = 16384, H = 256, N = 64, bidirectional) trains within 2 GiB, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GIB = 2**30
LINUX_ONLY = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
PROGRAM = """
import dataclasses, sys, torch
from harness.bases import BASES
from harness.kernels.auto import Auto
from harness.registry import lookup
from harness.ssm.config import S4
from harness.ssm.parameters import make_parameters
from harness.ssm.timescale import LogUniform
structure, name, application = sys.argv[1:]
config = S4(d_model=256, d_state=64, n_layers=1, structure=structure, bidirectional=True, application=application)
basis = lookup("basis", BASES, name)()
C, dt = torch.randn(2, 256, 64, dtype=torch.float64), torch.rand(256, dtype=torch.float64)
ssm = make_parameters(config, basis, LogUniform(), C, dt).state_space()
u = torch.randn(1, 256, 16384, requires_grad=True)
Auto().layer(u, ssm, config.request(basis, 16384)).square().sum().backward()
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(1024 * int(peak))
"""


@LINUX_ONLY
@pytest.mark.parametrize("application", ["fft", "chunked"])
@pytest.mark.parametrize(("structure", "basis"), [("diagonal", "s4d-lin"), ("dplr", "legs"), ("dplr", "legt")])
def test_a_layer_of_path_x_size_trains_within_2_gib(structure: str, basis: str, application: str) -> None:
    command = [sys.executable, "-c", PROGRAM, structure, basis, application]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 * GIB
