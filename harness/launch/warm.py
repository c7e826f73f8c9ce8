"""Loaded by the fork server alone: makes it deaf to the signals that are meant for the driver.

SLURM and a closing terminal signal every process of a job. Were the fork server to die of it, the kernel would
kill the trials with it, before they could checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import signal

with contextlib.suppress(OSError):
    os.setsid()
for _name in ("SIGTERM", "SIGUSR1", "SIGHUP"):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_IGN)
