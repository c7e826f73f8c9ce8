"""Loaded by the fork server alone: makes it deaf to the signals that are meant for the driver.

SLURM and a closing terminal signal every process of a job. Were the fork server to die of it, the kernel would
kill the trials with it, before they could checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import signal

from harness.launch.stop import FROM_OUTSIDE

with contextlib.suppress(OSError):
    os.setsid()
for _number in (*FROM_OUTSIDE, signal.SIGHUP):
    signal.signal(_number, signal.SIG_IGN)
