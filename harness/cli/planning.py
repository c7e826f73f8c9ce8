"""`harness plan`: what would run, what is done, what it would cost; refuses a bad file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import DataRoot, Files, Only, Plugins, Results, Set, Smoke, load_plugins, plans

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.records import State


def plan(
    files: Files,
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    results: Results = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the jobs, one JSON object a line.")] = False,
) -> None:
    """List what would run, what is done and what it would cost, or say what is wrong with the file."""
    load_plugins(plugins)
    for planned in plans(files, settings, filters, smoke):
        if as_json:
            for job in planned.jobs():
                print(json.dumps(job))
        else:
            _show(planned, results)


def _show(planned: Plan, results: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from harness.records import scan

    console = Console()
    ablation = planned.ablation
    states = scan(results / ablation.name) if (results / ablation.name).is_dir() else {}
    console.print(f"{ablation.name}: {ablation.question}", highlight=False, markup=False)
    console.print(f"  expected: {ablation.expect}", highlight=False, markup=False)
    table = Table(*planned.levels, "seeds", "done", "to run", "failed", box=None, pad_edge=False)
    arms: dict[tuple[str, ...], list[str]] = {}
    for trial in planned.trials:
        arms.setdefault(tuple(trial.arm.values()), []).append(trial.spec.trial_id)
    for labels, ids in arms.items():
        counts = Counter(_class(states.get(trial_id)) for trial_id in ids)
        table.add_row(*labels, str(len(ids)), str(counts["done"]), str(counts["to run"]), str(counts["failed"]))
    console.print(table)
    waiting = sum(_class(states.get(trial.spec.trial_id)) != "done" for trial in planned.trials)
    console.print(f"{len(planned.trials)} trials, {waiting} to run{_cost(waiting, states)}", highlight=False)
    for sentence in _unsupported(planned):
        console.print(f"  will end unsupported: {sentence}", highlight=False, markup=False)


def _class(state: State | None) -> str:
    from harness.records import FINISHED

    if state is None or state.status == "interrupted":
        return "to run"
    return "done" if state.status in FINISHED else "failed"


def _cost(waiting: int, states: dict[str, State]) -> str:
    """An estimate from the earlier records of this ablation, none where there are none."""
    earlier = [state.seconds for state in states.values() if state.status == "done"]
    if not waiting or not earlier:
        return ""
    mean = sum(earlier) / len(earlier)
    return f", about {waiting * mean / 60:.1f} trial-minutes by the {len(earlier)} done ({mean:.1f} s each)"


def _unsupported(planned: Plan) -> list[str]:
    """The reasons, each once, why arms of a training ablation would end `unsupported`."""
    from harness import registry
    from harness.bases import BASES
    from harness.kernels import KERNELS
    from harness.ssm import MODELS
    from harness.tasks import TASKS

    reasons: dict[str, None] = {}
    seen: set[str] = set()
    for trial in planned.trials:
        choices = trial.spec.choices
        key = json.dumps([choices.get(name) for name in ("task", "basis", "model", "backend")])
        if planned.ablation.kind != "train" or key in seen:
            continue
        seen.add(key)
        task = registry.build("task", TASKS, choices["task"])
        basis = registry.build("basis", BASES, choices["basis"])
        request = registry.build("model", MODELS, choices["model"]).request(basis, task.max_length)
        for reason in registry.build("backend", KERNELS, choices["backend"]).unsupported(request):
            reasons[f"{choices['backend']['name']}, {choices['basis']['name']}: {reason}"] = None
    return list(reasons)
