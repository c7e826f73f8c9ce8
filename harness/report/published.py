"""The published rows: results/published/lra.csv, kept as text so that they print as they were read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

PRINTABLE_TAGS = frozenset({"V", "V2"})
"""Read at the primary source, or at a secondary one that copies it; nothing from memory is ever printed."""


def lra(results: Iterable[Path]) -> pd.DataFrame:
    """The rows with a printable tag, as text; empty where there is no file beside the results or in the checkout."""
    places = [candidate for path in results for candidate in (path, path.resolve().parent)]
    places.append(Path(__file__).parents[2] / "results")
    for place in places:
        path = place / "published" / "lra.csv"
        if path.is_file():
            rows = pd.read_csv(path, dtype=str, keep_default_na=False)
            return rows[rows["tag"].isin(PRINTABLE_TAGS)].reset_index(drop=True)
    return pd.DataFrame()
