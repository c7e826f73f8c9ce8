"""What a SQLite store remembers as delivered, read without MLflow, whose import is most of a finished sweep's rerun."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from harness.track import store

TAG = "harness.delivered"
"""Of the experiment: the fingerprint of a folder that is delivered whole."""
_QUERY = """
SELECT experiment_tags.value FROM experiment_tags JOIN experiments USING (experiment_id)
WHERE experiments.name = ? AND experiments.lifecycle_stage = 'active' AND experiment_tags.key = ?
"""


def glance(uri: str, experiment: str) -> str:
    """The fingerprint, or "" where the store is no SQLite file or does not say: then MLflow is asked."""
    file = store.database_file(uri)
    if file is None or not file.exists():
        return ""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            found = database.execute(_QUERY, (experiment, TAG)).fetchone()
    except sqlite3.Error:
        return ""
    return str(found[0]) if found else ""
