"""The studies of a search in a file that Optuna and its dashboard open: results/<ablation>/optuna.db.

A copy for people to look at, one study for each arm. It is made from what the records say and nothing is read from it:
it can be removed, and comes back with the next run.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, create_trial

from harness.launch import lock
from harness.launch.study import Study

FILE = "optuna.db"


def uri(folder: Path) -> str:
    return f"sqlite:///{(folder / FILE).resolve()}"


def study_name(ablation: str, study: Study) -> str:
    """Such as "mine: basis legs"."""
    return f"{ablation}: {study.arm.title}"


def mirror(folder: Path, ablation: str, studies: Sequence[Study]) -> str:
    """Bring the file up to what the studies know; returns why that failed, empty when it did not.

    The search goes on without it. Shards write to one file, in turns.
    """
    try:
        with lock.trial(folder, "optuna", give_up=lambda: False):
            storage = optuna.storages.RDBStorage(uri(folder))
            try:
                for study in studies:
                    _copy(study, storage, study_name(ablation, study))
            finally:
                storage.remove_session()
                storage.engine.dispose()
    except Exception as problem:
        return f"{folder / FILE} could not be written ({type(problem).__name__}: {str(problem).splitlines()[0]})"
    return ""


def _copy(study: Study, storage: Any, name: str) -> None:
    """Add the trials that the copy lacks; where it holds others, make it anew."""
    trials = [_frozen(trial) for trial in study.optuna.trials if trial.state.is_finished()]
    copy = optuna.create_study(study_name=name, storage=storage, direction=study.optuna.direction, load_if_exists=True)
    held = copy.trials
    if copy.direction != study.optuna.direction or [*map(_facts, held)] != [*map(_facts, trials[: len(held)])]:
        optuna.delete_study(study_name=name, storage=storage)
        copy = optuna.create_study(study_name=name, storage=storage, direction=study.optuna.direction)
        held = []
    copy.add_trials(trials[len(held) :])


def _frozen(trial: FrozenTrial) -> FrozenTrial:
    """The trial with the clock of its records, and without what its sampler noted for itself."""
    attributes = {key: value for key, value in trial.user_attrs.items() if key != "clock"}
    made = create_trial(
        state=trial.state,
        value=trial.value if trial.state == optuna.trial.TrialState.COMPLETE else None,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=attributes,
        intermediate_values=trial.intermediate_values,
    )
    if clock := trial.user_attrs.get("clock"):
        made.datetime_start, made.datetime_complete = map(datetime.datetime.fromtimestamp, clock)
    return made


def _facts(trial: FrozenTrial) -> tuple[Any, ...]:
    return trial.state, trial.value, trial.params, trial.user_attrs, trial.intermediate_values
