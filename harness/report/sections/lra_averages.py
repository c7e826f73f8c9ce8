"""One number for all of Long Range Arena, in the two ways of the literature.

    Average of 6    mean of the six accuracies, a Path-X that failed counted as 50
    Average of 5    mean of the five without Path-X

Path-X failed where the accuracy never rose above chance for good (see `harness.training.escape`). Each average is taken
within a seed, so that its interval is over seeds and not over tasks.

Sources: Tay et al. 2021 average without Path-X; Gu et al. 2022 and those after them count a failed one as 50.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from harness.report import words
from harness.report.evidence import Trial
from harness.report.statistics import Estimate, mean_interval

PATH_X = "Path-X"
WITHOUT_PATH_X = ("ListOps", "Text", "Retrieval", "Image", "Pathfinder")
TASKS = (*WITHOUT_PATH_X, PATH_X)
AVERAGES = {"Average of 6": TASKS, "Average of 5": WITHOUT_PATH_X}
FAILED = 50.0

Places = Mapping[str, Sequence[Trial]]
"""Task to the trials of one arm on it."""


def averages(places: Places, titles: Iterable[str]) -> dict[str, Estimate]:
    """The averages whose tasks are all among the `titles` of the table; of no seed where this arm lacks one of them."""
    shown = set(titles)
    return {name: _average(places, tasks) for name, tasks in AVERAGES.items() if shown.issuperset(tasks)}


def published_without_path_x(rows: pd.DataFrame) -> list[str]:
    """The average of 5 of published rows, whose cells are text: ✗ counts as 50, a row that lacks a task has none."""
    cells = rows[list(WITHOUT_PATH_X)].replace({"✗": str(FAILED), "": "nan"}).astype(float)
    return ["" if math.isnan(mean) else f"{mean:.2f}" for mean in cells.mean(axis=1, skipna=False)]


def notes(arms: Iterable[Places], titles: Iterable[str]) -> list[str]:
    """What the averages are of, and how many runs of Path-X count as 50 in them."""
    shown = set(titles)
    if not shown.issuperset(WITHOUT_PATH_X):
        return []
    said = "Averages: over the tasks within a seed, of the seeds that have every task; the interval is over these seeds"
    if PATH_X not in shown:
        return [f"{said}. Average of 5: without Path-X."]
    runs = [trial.escaped for places in arms for trial in places.get(PATH_X, []) if trial.status == "done"]
    counted = f"{runs.count(False)} of {words.count(len(runs), 'run')} did"
    unsaid = f" ({runs.count(None)} do not say and count as they are)" if None in runs else ""
    return [
        f"{said}.",
        f"Average of 6: a run of Path-X that failed, that is, did not rise above chance for good, counts as 50, as in "
        f"published rows; {counted}{unsaid}. Average of 5: without Path-X.",
    ]


def _average(places: Places, tasks: Sequence[str]) -> Estimate:
    by_task = [
        {
            trial.seed: FAILED if _failed(task, trial) else 100 * trial.score
            for trial in places.get(task, [])
            if trial.status == "done"
        }
        for task in tasks
    ]
    seeds = sorted(set.intersection(*(set(scores) for scores in by_task)))
    return mean_interval([sum(scores[seed] for scores in by_task) / len(tasks) for seed in seeds])


def _failed(task: str, trial: Trial) -> bool:
    return task == PATH_X and trial.escaped is False
