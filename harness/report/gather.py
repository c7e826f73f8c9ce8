"""From result folders to studies: which records belong together, and which are set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import records
from harness.errors import UsageError
from harness.records import Record, State
from harness.report import searches
from harness.report.evidence import Study, Trial, canonical
from harness.spec import comparable

BESIDE_THE_TRIAL = ("question", "expect", "labels", "repeats", "tolerance", "compare", "tune", "resources")
"""Keys of the file that do not reach into a trial of an arm: a `--set` of one leaves the trials comparable."""


def folders(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    """The folders that hold records: each path itself, or its children.

    Raises UsageError when a path does not exist or no record is found.
    """
    given = [Path(paths)] if isinstance(paths, Path | str) else [Path(path) for path in paths]
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            raise UsageError(f"The results folder '{path}' does not exist. Run an ablation first, or mend the path.")
        candidates = [path, *sorted(child for child in path.iterdir() if child.is_dir())]
        found += [folder for folder in candidates if any(folder.glob("*.jsonl*"))]
    if not found:
        places = ", ".join(f"'{path}'" for path in given) or "an empty list"
        raise UsageError(
            f"There is no trial record in {places}. Run an ablation first: harness run ablations/NAME.toml."
        )
    return list(dict.fromkeys(found))


def read_all(folders: Iterable[Path]) -> list[Record]:
    """Every record of the folders, by folder and trial id; one for each trial of an ablation, by `State.rank`."""
    found: dict[tuple[str, str], State] = {}
    for folder in folders:
        for trial_id, state in sorted(records.scan(folder).items()):
            key = (state.ablation["name"], trial_id)
            if key not in found or state.rank > found[key].rank:
                found[key] = state
    return [records.read(state.path) for state in found.values()]


def studies(paths: Path | str | Iterable[Path | str]) -> tuple[Study, ...]:
    """The studies found under the paths, in the order of the paths and of their names."""
    groups: dict[str, list[Record]] = {}
    for record in read_all(folders(paths)):
        groups.setdefault(record.header["ablation"]["name"], []).append(record)
    if not groups:
        raise UsageError("No record has a readable header yet. Wait for the first trial, or remove the broken files.")
    return tuple(_study(group) for group in groups.values())


def _study(group: list[Record]) -> Study:
    """Keep what can be compared; set the rest aside and count it.

    Of the records of the newest file text, the form with the most records is the study's (the newest of two equals),
    so that a trial run of one arm with another `--set` does not take the place of a sweep.
    """
    newest_first = sorted(group, key=lambda record: (-float(record.header["created"]), record.trial_id))
    text = newest_first[0].header["ablation"].get("text")
    tuned = searches.parts(newest_first[0])
    forms = Counter(_form(record, tuned) for record in newest_first if record.header["ablation"].get("text") == text)
    form = forms.most_common(1)[0][0]
    own = [record for record in newest_first if _form(record, tuned) == form]
    ablation = next((one for record in own if "tune" in (one := record.header["ablation"])), own[0].header["ablation"])
    identity: dict[str, str] = {}
    taken: set[tuple[str, int]] = set()
    kept = []
    for trial in searches.final([Trial(record) for record in own]):
        arm = canonical(trial.labels)
        rest = canonical({key: value for key, value in comparable(trial.spec).items() if key != "seed"})
        if tuned and trial.stage != searches.CONFIRMATION and arm not in identity:
            continue
        if _fits(trial, ablation) and identity.setdefault(arm, rest) == rest and (arm, trial.seed) not in taken:
            taken.add((arm, trial.seed))
            kept.append(trial)
    tuning = searches.tuning([trial for record in own if _fits(trial := Trial(record), ablation)]) if tuned else ()
    whole = Study(ablation, tuple(kept), len(group) - len(kept) - len(tuning), tuning)
    ordered = tuple(trial for trials in whole.arms().values() for trial in trials)
    return replace(whole, trials=ordered)


def _fits(trial: Trial, ablation: Mapping[str, Any]) -> bool:
    return set(trial.labels) == set(ablation["compare"]) and all(
        label in map(str, ablation["levels"][axis]) for axis, label in trial.labels.items()
    )


def _form(record: Record, tuned: Set[str]) -> str:
    """What all arms of a study must share: the settings, and the parts of the spec that are not compared or tuned.

    The settings count beside the spec, because a compared part writes out defaults that follow from its level (the
    discretisation from the structure), which cannot be told from a parameter that was set for one arm alone.
    """
    ablation, spec = record.header["ablation"], comparable(record.header["spec"])
    compared = {str(axis).partition(".")[0] for axis in ablation["compare"]} | tuned
    compared |= {*(ablation.get("cases") or []), *(ablation.get("preset_axes") or [])}
    shared = {key: value for key, value in spec.items() if key != "seed" and key not in compared}
    given = map(str, ablation.get("settings") or [])
    settings = {setting for setting in given if _head(setting) not in BESIDE_THE_TRIAL}
    return canonical([shared, sorted(settings)])


def _head(setting: str) -> str:
    """`training` of `training.steps=4`."""
    return setting.partition("=")[0].partition(".")[0].strip().strip('"')
