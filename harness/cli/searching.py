"""How `harness plan` shows a search: budget and confirmation of every arm, and what the records hold of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli import sizes
from harness.records import FINISHED, State
from harness.search import CONFIRMATION, TUNING, Candidates, Search
from harness.tuning import TUNING_SEED

if TYPE_CHECKING:
    from rich.table import Table

STAGES = (TUNING, CONFIRMATION)


def table(search: Search, levels: Collection[str], done: Sequence[Mapping[str, list[State]]]) -> Table:
    """A row for each arm: parameters over the space, trials of both stages, and how many of each have ended."""
    from rich.table import Table

    heads = (head for stage in STAGES for head in (stage, "ended"))
    made = Table(*levels, *sizes.HEADS, *heads, box=None, pad_edge=False)
    for arm, by_stage in zip(search.arms, done, strict=True):
        counts = [str(count) for stage in STAGES for count in (search.trials[stage], len(by_stage[stage]))]
        made.add_row(*arm.labels.values(), *sizes.sizes(map(arm.at, search.tune.corners())), *counts)
    return made


def ended(arm: Candidates, stage: str, states: Mapping[str, State], fingerprint: str) -> list[State]:
    """The finished trials of one stage of an arm, at the present space and with today's data."""
    return [
        state
        for state in states.values()
        if state.ablation.get("tune", {}).get("stage") == stage
        and state.status in FINISHED
        and not (fingerprint and state.fingerprint and state.fingerprint != fingerprint)
        and arm.owns(state.ablation, state.spec, state.trial_id)
    ]


def sentence(search: Search) -> str:
    """Method, space, budget and the seeds of both stages."""
    tune, arms = search.tune, len(search.arms)
    tuned, confirmed = (search.trials[stage] for stage in STAGES)
    early = f", stopped early by {tune.pruner}" if tune.pruner else ""
    seeds = "seed 0" if confirmed == 1 else f"seeds 0 to {confirmed - 1}"
    return (
        f"tuning: {tune.method} over {', '.join(one.path for one in tune.space)}, {tune.trials} configurations for "
        f"each arm on {tune.seeds} seed{'s' * (tune.seeds != 1)} from {TUNING_SEED} on{early}; "
        f"the best of each arm on validation is confirmed on {seeds}. "
        f"{arms} x {tuned} + {arms} x {confirmed} = {arms * (tuned + confirmed)} trials"
    )
