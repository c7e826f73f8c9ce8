"""What the UI shows of an experiment at first: its trials, one line for each arm in charts, the columns that differ.

This is MLflow's "share view": a tag of the experiment holds the state as JSON, and an address ends in the tag's key.
"""

from __future__ import annotations

import json

from harness.records import Row

KEY = "harness"
TAG = f"mlflow.sharedViewState.{KEY}"


def state(header: Row) -> str:
    """The view for the experiment that a trial with this header belongs to."""
    task, axes = header.get("task") or {}, header["ablation"].get("compare", ())
    measured = [f"metrics.`test/{task['primary']}`"] if "primary" in task else []
    return json.dumps(
        {
            "searchFilter": "tags.`harness.kind` = 'trial'",
            "selectedColumns": [*(f"tags.`arm.{axis}`" for axis in axes), "tags.`seed`", "tags.`status`", *measured],
            "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "arm"}]},
            "runsHiddenMode": "SHOW_ALL",
        }
    )


def address(server: str, experiment: str) -> str:
    """Where the UI of `server` shows the experiment with the id `experiment` in this view."""
    return f"{server}/#/experiments/{experiment}/runs?viewStateShareKey={KEY}"
