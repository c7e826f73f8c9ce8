"""Ray, imported once its settings are in the environment, where it reads them."""

from __future__ import annotations

import os

SETTINGS = {
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
}
"""Ray's memory monitor would end the whole experiment for one trial; ours ends the trial. Tune's state is not kept.
Trials have the priority that they have without Ray, whose workers would give way to everything else.
"""
os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.exceptions import GetTimeoutError, RayError  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

__all__ = ["GetTimeoutError", "NodeAffinitySchedulingStrategy", "RayError", "ray", "tune"]
