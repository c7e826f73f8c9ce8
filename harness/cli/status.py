"""`harness status`: how many trials stand where, and why those that failed did."""

from __future__ import annotations

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Roots, folders

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.records import State

PLANNED = ".plan.json"


def status(
    names: Annotated[list[str] | None, typer.Argument(help="Ablations, by name or by file; default: all.")] = None,
    results: Roots = [Path("results")],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Count the trials of each ablation by state, with failures by class."""
    from harness.records import STATUSES, scan

    every = (path.parent for root in results for path in sorted(root.glob("*/*.jsonl*")))
    merged: dict[str, list[Path]] = {}
    for folder in folders(names, *results) if names else dict.fromkeys(every):
        merged.setdefault(folder.name, []).append(folder)
    for name, parts in merged.items():
        states = scan(*parts)
        stages = _stages(parts, states)
        if as_json:
            whole = sum(stages.values(), Counter())
            apart = {stage: dict(counts) for stage, counts in stages.items() if stage}
            print(json.dumps({"ablation": name, "waiting": 0, **whole, **apart}))
            continue
        for stage, counts in stages.items():
            said = [f"{counts[kind]} {kind}" for kind in (*STATUSES, "waiting") if counts[kind]]
            print(f"{name}{stage and f', {stage}'}: {', '.join(said) or 'no trials'}")
        reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
        for state in states.values():
            if state.status not in ("done", "interrupted"):
                reasons[state.status, state.reason].append(state.trial_id)
        for (kind, reason), ids in sorted(reasons.items()):
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            print(f"  {kind}: {reason} ({ids[0]}{more})")


def remember(folder: Path, planned: Plan) -> None:
    """Note what a run planned, so that `harness status` can count what is waiting: ids, or how many of each stage."""
    folder.mkdir(parents=True, exist_ok=True)
    search = planned.search
    ids = [trial.trial_id for trial in planned.trials]
    stages = {stage: count * len(search.arms) for stage, count in search.trials.items()} if search else None
    noted = folder / PLANNED
    # A link that somebody left there would be written through.
    noted.unlink(missing_ok=True)
    noted.write_text(json.dumps(ids if stages is None else stages))


def _planned(folders: Iterable[Path]) -> list[str] | dict[str, int]:
    """What the newest run planned whose note is whole; nothing where there is none."""
    notes = [path for folder in folders if (path := folder / PLANNED).is_file()]
    for path in sorted(notes, key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(OSError, ValueError):
            found: list[str] | dict[str, int] = json.loads(path.read_text())
            return found
    return []


def _stages(folders: Iterable[Path], states: Mapping[str, State]) -> dict[str, Counter[str]]:
    """Trials by status, `waiting` among them, for each stage of a search; all in one, "", where nothing was tuned."""
    planned = _planned(folders)
    found: dict[str, Counter[str]] = {} if isinstance(planned, list) else {stage: Counter() for stage in planned}
    for state in states.values():
        stage = state.ablation.get("tune", {}).get("stage", "")
        found.setdefault(stage, Counter())[state.status] += 1
    if isinstance(planned, list):
        waiting = {"": sum(trial_id not in states for trial_id in planned)}
    else:
        waiting = {stage: count - sum(found[stage].values()) for stage, count in planned.items()}
    for stage, count in waiting.items():
        if count > 0:
            found.setdefault(stage, Counter())["waiting"] = count
    return found or {"": Counter()}
