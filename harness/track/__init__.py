"""Records to MLflow and back. The record files are the spool; what MLflow holds is a function of them.

The only room that imports mlflow, and only inside functions, so that importing this one is cheap.
"""

from __future__ import annotations

from harness.track.exchange import Pulled, Pushed, pull, push
from harness.track.mirror import Mirror
from harness.track.store import prepare, resolve, shown
from harness.track.ui import command, serve

__all__ = ["Mirror", "Pulled", "Pushed", "command", "prepare", "pull", "push", "resolve", "serve", "shown"]
