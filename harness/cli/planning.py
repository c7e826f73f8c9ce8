"""`harness plan`: what would run, what is done, what it would cost; refuses a bad file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import sizes
from harness.cli.fitting import too_large
from harness.cli.options import DataRoot, Files, Only, Plugins, Results, Set, Smoke, load_plugins, plans
from harness.cli.sweeps import fingerprints, known, sweep_of
from harness.errors import EnvironmentProblem

if TYPE_CHECKING:
    from rich.console import Console

    from harness.launch.options import Sweep
    from harness.plan import Plan
    from harness.records import State
    from harness.spec import TrialSpec


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
            for job in _jobs(planned, results, data_root):
                print(json.dumps(job))
        else:
            _show(planned, results, data_root)


def _jobs(planned: Plan, results: Path, data_root: Path | None) -> Iterable[dict[str, Any]]:
    """Every job; of a search those that its records allow by now."""
    if planned.search is None:
        return planned.jobs()
    return known(sweep_of(planned, results, fingerprints(planned, data_root))).jobs


def _show(planned: Plan, results: Path, data_root: Path | None) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    ablation = planned.ablation
    console.print(f"{ablation.name}: {ablation.question}")
    console.print(f"  expected: {ablation.expect}")
    if planned.preset:
        _show_preset(console, planned)
    prints, note = _prints(planned, data_root)
    sweep = sweep_of(planned, results, prints)
    (_show_search if planned.search else _show_trials)(console, planned, sweep)
    for sentence in [*note, *_unsupported(planned), *too_large(planned, sweep, here=False)]:
        console.print(f"  {sentence}")


def _show_preset(console: Console, planned: Plan) -> None:
    preset = planned.preset
    assert preset is not None
    console.print(f"  preset: {preset.name}, {preset.title}")
    console.print(f"    from: {preset.source}")
    for task in dict.fromkeys(arm.choices["task"]["name"] for arm in planned.arms):
        if task in preset.sources:
            console.print(f"    {task}: {preset.sources[task]}")
    for departure in preset.departures:
        console.print(f"    otherwise than there: {departure}")


def _show_search(console: Console, planned: Plan, sweep: Sweep) -> None:
    from harness.cli.searching import STAGES, ended, sentence, table
    from harness.records import scan

    search = planned.search
    assert search is not None
    states = scan(sweep.folder) if sweep.folder.is_dir() else {}
    done = [
        {stage: ended(arm, stage, states, sweep.fingerprints.get(arm.id, "")) for stage in STAGES}
        for arm in search.arms
    ]
    every = [state for arm in done for stage in arm.values() for state in stage]
    left = len(search.arms) * sum(search.trials.values()) - len(every)
    console.print(table(search, planned.levels, done))
    console.print(f"{sentence(search)}, {left} to run{_cost(left, every)}", soft_wrap=True)


def _show_trials(console: Console, planned: Plan, sweep: Sweep) -> None:
    from rich.table import Table

    from harness.launch.options import Options
    from harness.launch.queue import due

    found = due(sweep, Options())
    waiting = {task["job"]["trial_id"] for task in found.tasks}
    heads = sizes.HEADS if planned.ablation.kind == "train" else ()
    table = Table(*planned.levels, *heads, "seeds", "done", "to run", "failed", box=None, pad_edge=False)
    arms: dict[tuple[str, ...], list[TrialSpec]] = {}
    for trial in planned.trials:
        arms.setdefault(tuple(trial.arm.labels.values()), []).append(trial)
    for labels, trials in arms.items():
        size = sizes.sizes([trials[0].arm]) if heads else ()
        counts = (sum(one.trial_id in group for one in trials) for group in (found.skipped, waiting, found.used_up))
        table.add_row(*labels, *size, str(len(trials)), *map(str, counts))
    console.print(table)
    console.print(f"{len(planned.trials)} trials, {len(waiting)} to run{_cost(len(waiting), found.skipped.values())}")


def _prints(planned: Plan, data_root: Path | None) -> tuple[dict[str, str], list[str]]:
    """Today's data fingerprints, or the complaint that data is missing; none of timings, whose device is not asked."""
    if planned.ablation.kind != "train":
        return {}, []
    try:
        return fingerprints(planned, data_root), []
    except EnvironmentProblem as missing:
        return {}, [str(missing)]


def _cost(waiting: int, finished: Iterable[State]) -> str:
    """An estimate from the earlier records of this ablation, none where there are none."""
    earlier = [state.seconds for state in finished if state.status == "done"]
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
    for arm in planned.arms:
        choices = arm.choices
        key = json.dumps([choices.get(name) for name in ("task", "basis", "model", "backend")])
        if planned.ablation.kind != "train" or key in seen:
            continue
        seen.add(key)
        task = registry.build("task", TASKS, choices["task"])
        basis = registry.build("basis", BASES, choices["basis"])
        request = registry.build("model", MODELS, choices["model"]).request(basis, task.max_length)
        for reason in registry.build("backend", KERNELS, choices["backend"]).unsupported(request):
            name = f"{choices['backend']['name']}, {choices['basis']['name']}"
            reasons[f"will end unsupported: {name}: {reason}"] = None
    return list(reasons)
