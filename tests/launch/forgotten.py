"""Leaves Ray while another thread frees what only the garbage collector still finds: `forgotten.py DELAY_S`."""

from __future__ import annotations

import gc
import sys
import threading
import time

from harness.launch.ray_processes import Processes
from harness.launch.ray_settings import ray


class Cycle:
    def __init__(self) -> None:
        self.itself, self.reference = self, ray.put(0)


gc.disable()
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
processes = Processes()
for _ in range(3000):
    Cycle()


def collect() -> None:
    time.sleep(float(sys.argv[1]))
    gc.collect()


threading.Thread(target=collect, daemon=True).start()
processes.end()
print("left")
