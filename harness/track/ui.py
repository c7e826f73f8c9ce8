"""The MLflow user interface on the harness's store: one worker, no job execution, this machine only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.errors import EnvironmentProblem, UsageError
from harness.track import store, view


def command(uri: str, port: int) -> tuple[list[str], dict[str, str]]:
    """(argv, additions to the environment) of the server's process.

    MLflow's own defaults start 15 processes and take 2 GB; this starts 2 and is the faster one per call. The
    store's URI goes through the environment, because a process list shows arguments to everyone.
    Raises UsageError when the URI is a server already.
    """
    if uri.startswith("http"):
        raise UsageError(f"The tracking URI is an MLflow server already: open {store.shown(uri)} in a browser.")
    if not 0 < port < 65536:
        raise UsageError(f"The port is {port}; choose one from 1 to 65535.")
    argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    location = store.artifact_location(uri, Path("results"))
    environment = {
        **store.QUIET,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_ARTIFACTS_DESTINATION": str(location),
    }
    return argv, environment


def serve(uri: str, port: int) -> int:
    """Run the server until it ends or is interrupted; returns its exit code.

    Raises EnvironmentProblem when the store cannot be opened, UsageError as `command` does.
    """
    argv, environment = command(uri, port)
    file = store.database_file(uri)
    if file is not None and not file.exists():
        raise EnvironmentProblem(f"There is no MLflow store at {store.shown(uri)} yet; run an ablation first.")
    store.prepare(uri)
    for experiment in store.client(uri).search_experiments(filter_string="name != 'Default'"):
        print(f"{experiment.name}: {view.address(f'http://127.0.0.1:{port}', experiment.experiment_id)}", flush=True)
    # MLflow reads this as the store of its own client and warns when it names a server.
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    process = subprocess.Popen(argv, env=inherited | environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return 0
