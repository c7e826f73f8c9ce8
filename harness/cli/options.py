"""Options that several commands share, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness import registry
from harness.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from harness.plan import Plan

Files = Annotated[list[Path], typer.Argument(help="Ablation files (.toml).", show_default=False)]
Names = Annotated[list[str], typer.Argument(help="Ablations, by name or by file.", show_default=False)]
Set = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the file; TOML value.")]
Only = Annotated[list[str], typer.Option("--only", metavar="AXIS=LABEL", help="Keep one level; more of an axis: any.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="A tiny run of every cell, kept apart as NAME-smoke.")]
Force = Annotated[bool, typer.Option("--force", help="Run finished trials again.")]
Plugins = Annotated[list[str], typer.Option("--plugin", metavar="PATH_OR_MODULE", help="A module with your own parts.")]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", envvar="HARNESS_DATA_ROOT", help="Folder of the data sets.")
]
Results = Annotated[Path, typer.Option("--results", help="Folder of the records.")]
Roots = Annotated[list[Path], typer.Option("--results", help="Folder of the records; several are read as one.")]
TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow store; default: RESULTS/mlflow.db."),
]


def load_plugins(plugins: Iterable[str]) -> None:
    """Import installed plugins and the named ones, whose parts then stand in the tables."""
    registry.load_entry_points()
    for plugin in plugins:
        registry.load_plugin(plugin)


def plans(files: Iterable[Path], settings: list[str], filters: list[str], smoke: bool) -> list[Plan]:
    """Every file read, checked and expanded. Raises UsageError for the first mistake, before anything starts."""
    from harness.ablation import read
    from harness.plan import only, plan

    expanded = [only(plan(read(path, settings, smoke), smoke), filters) for path in files]
    names = [one.ablation.name for one in expanded]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"Two of the files are named '{twice}', and would share one results folder. Rename one.")
    return expanded


def folders(names: Iterable[str], *roots: Path) -> list[Path]:
    """The results folders of each ablation, named by name, file or folder. Raises UsageError when there is none."""
    found = []
    for name in names:
        stem = Path(name).stem if name.endswith(".toml") else Path(name).name
        there = [root / stem for root in roots if (root / stem).is_dir()]
        if stem in ("", "..") or not there:
            near = did_you_mean(stem, (other.name for root in roots for other in root.glob("*") if other.is_dir()))
            places = ", ".join(f"'{root}'" for root in roots)
            raise UsageError(f"There are no records of '{stem}' in {places}. {near}Run it first: harness run FILE.")
        found += there
    return found


def seconds(duration: str) -> float:
    """`90`, `90s`, `150m` or `2h` in seconds. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", duration.strip())
    if match is None:
        raise UsageError(f"'{duration}' is no duration; write 90s, 150m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
