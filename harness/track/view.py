"""What the UI shows of an experiment at first: its trials, one line for each arm in charts, the columns that differ.

This is MLflow's "share view": a tag of the experiment holds the state as JSON, and an address ends in the tag's key.
"""

from __future__ import annotations

import json

from harness.records import Row

KEY = "harness"
TAG = f"mlflow.sharedViewState.{KEY}"
NAME, CREATED, DURATION = "attributes.`Run Name`", "runDateAndNestInfo", "duration"
"""What the UI calls the columns that it always shows."""
SECTIONS = ("val", "test", "train")
"""Splits whose charts come first; the others follow by name."""


def state(header: Row) -> str:
    """The view for the experiment that a trial with this header belongs to."""
    task, axes = header.get("task") or {}, header["ablation"].get("compare", ())
    measured = [f"metrics.`test/{task['primary']}`"] if "primary" in task else []
    columns = [*measured, *(f"tags.`arm.{axis}`" for axis in axes), "tags.`seed`", "tags.`status`"]
    return json.dumps(
        {
            "searchFilter": "tags.`harness.kind` = 'trial'",
            "selectedColumns": columns,
            "columnOrder": [NAME, CREATED, *columns, DURATION],
            # Such as "s4d-legs · dt 0.001..0.1 · seed 0", uncut.
            "columnWidths": {NAME: 290},
            "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "arm"}]},
            "runsHiddenMode": "SHOW_ALL",
            "compareRunCharts": [],
            "compareRunSections": [
                {"uuid": name, "name": name, "display": True, "isReordered": False} for name in SECTIONS
            ],
            "isAccordionReordered": True,
        }
    )


def address(server: str, experiment: str) -> str:
    """Where the UI of `server` shows the experiment with the id `experiment` in this view, for training models."""
    return f"{server}/#/experiments/{experiment}/runs?viewStateShareKey={KEY}&workflowType=machine_learning"
