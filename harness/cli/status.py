"""`harness status`: how many trials stand where, and why those that failed did."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Results, folders

PLANNED = ".plan.json"


def status(
    names: Annotated[list[str] | None, typer.Argument(help="Ablations, by name or by file; default: all.")] = None,
    results: Results = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Count the trials of each ablation by state, with failures by class."""
    from harness.records import STATUSES, scan

    chosen = folders(names, results) if names else sorted({path.parent for path in results.glob("*/*.jsonl*")})
    for folder in chosen:
        states = scan(folder)
        planned = _planned(folder)
        counts = Counter(state.status for state in states.values())
        waiting = [trial_id for trial_id in planned if trial_id not in states]
        if as_json:
            print(json.dumps({"ablation": folder.name, "waiting": len(waiting), **counts}))
            continue
        parts = [f"{counts[name]} {name}" for name in STATUSES if counts[name]]
        if waiting:
            parts.append(f"{len(waiting)} waiting")
        print(f"{folder.name}: {', '.join(parts) or 'no trials'}")
        reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
        for state in states.values():
            if state.status not in ("done", "interrupted"):
                reasons[state.status, state.reason].append(state.trial_id)
        for (kind, reason), ids in sorted(reasons.items()):
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            print(f"  {kind}: {reason} ({ids[0]}{more})")


def remember(folder: Path, trial_ids: list[str]) -> None:
    """Note what a run planned, so that `harness status` can count what is waiting."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLANNED).write_text(json.dumps(trial_ids))


def _planned(folder: Path) -> list[str]:
    """The trial ids that the last `harness run` planned here."""
    try:
        ids: list[str] = json.loads((folder / PLANNED).read_text())
    except (OSError, ValueError):
        return []
    return ids
