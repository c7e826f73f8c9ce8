"""A search as the driver sees it: the trials that its records allow so far, in both stages, for every arm."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

from harness import records
from harness.launch import stopping, storage
from harness.launch.attempts import FAILED, earlier
from harness.launch.options import Options, Sweep
from harness.launch.stopping import Curve
from harness.launch.study import Result, Study, Suggestion
from harness.search import CONFIRMATION, TUNING, Candidates


class Searching:
    """The studies of this process's arms: of n shards, each has every n-th arm."""

    def __init__(self, sweep: Sweep, options: Options) -> None:
        assert sweep.search is not None
        self.given, self.search = sweep, sweep.search
        part, whole = options.shard or (1, 1)
        self.arms = self.search.arms[part - 1 :: whole]
        self.problem = ""
        """Why the studies could not be mirrored; empty when they were."""
        self.restart()

    def restart(self) -> None:
        """Read the records anew."""
        known = self._recorded()
        self.studies = [Study(self.search, arm, known[arm.id]) for arm in self.arms]

    def sweep(self) -> Sweep:
        """The sweep with every trial that is known by now, arm by arm, tuning first."""
        states = records.scan(self.given.folder) if self.given.folder.is_dir() else {}
        jobs: list[dict[str, Any]] = []
        prints: dict[str, str] = {}
        for study in self.studies:
            print_ = self.given.fingerprints.get(study.arm.id, "")

            def result(suggestion: Suggestion, print_: str = print_, arm: Candidates = study.arm) -> Result | None:
                return self._result(suggestion, states, print_, arm)

            study.advance(result)
            own = [job for one in study.suggestions for job in self._watched(study, one)]
            if study.over and (best := study.best) is not None:
                own += self.search.jobs(study.arm, CONFIRMATION, best.number, best.values)
            jobs += own
            prints |= {job["trial_id"]: print_ for job in own}
        self.given.ids.update(prints)
        return replace(self.given, jobs=jobs, fingerprints=prints)

    def mirror(self) -> None:
        """Write the studies to the folder's optuna.db, which holds nothing that the records do not."""
        self.problem = storage.mirror(self.given.folder, self.given.name, self.studies)

    def unknown(self) -> int:
        """Trials that are still to be suggested or confirmed."""
        left = 0
        for study in self.studies:
            if not study.over:
                left += (self.search.tune.trials - len(study.suggestions)) * self.search.tune.seeds
                left += self.search.repeats
        return left

    def _recorded(self) -> dict[str, dict[int, dict[str, Any]]]:
        """Arm to suggestion number to the values that its record has."""
        found: dict[str, dict[int, dict[str, Any]]] = {arm.id: {} for arm in self.arms}
        states = records.scan(self.given.folder) if self.given.folder.is_dir() else {}
        for state in states.values():
            about, tune = state.ablation, state.ablation.get("tune", {})
            if tune.get("stage") != TUNING:
                continue
            for arm in self.arms:
                if arm.owns(about, state.spec, state.trial_id):
                    found[arm.id].setdefault(tune["index"], tune["values"])
        return found

    def _result(
        self, suggestion: Suggestion, states: dict[str, records.State], print_: str, arm: Candidates
    ) -> Result | None:
        """What became of a configuration on all its seeds; None while one of them is still to run."""
        ended: list[records.State] = []
        for job in suggestion.jobs:
            state = states.get(job["trial_id"])
            if state is None or (print_ and state.fingerprint and state.fingerprint != print_):
                return None
            if state.status not in records.FINISHED and not (
                state.status in FAILED and earlier(self.given.folder, state.trial_id).used_up(self.given.max_attempts)
            ):
                return None
            ended.append(state)
        read = [records.read(state.path) for state in ended]
        curves = [curve(record, arm.task.primary) for record in read]
        statuses = [state.status for state in ended]
        status = next((one for one in ("diverged", "stopped", *statuses) if one in statuses and one != "done"), "done")
        pick = max if arm.task.higher_is_better else min
        bests = [pick((score for _, score in one), default=None) for one in curves]
        score = statistics.fmean(one for one in bests if one is not None) if status == "done" and all(curves) else None
        steps = sorted(set.intersection(*({step for step, _ in one} for one in curves)))
        mean = [(step, statistics.fmean(dict(one)[step] for one in curves)) for step in steps]
        began = min(float(record.header["created"]) for record in read)
        clock = (began, max(float((record.end or {}).get("time", began)) for record in read))
        return Result(status, mean, tuple(curves), score, *clock)

    def _watched(self, study: Study, suggestion: Suggestion) -> list[dict[str, Any]]:
        """The suggestion's jobs, with what its trials must reach to go on."""
        pruner = self.search.tune.pruner
        if pruner is None or suggestion not in study.open:
            return suggestion.jobs
        higher = study.arm.task.higher_is_better
        peers = [one for before in study.suggestions if before.result for one in before.result.peers]
        last = suggestion.jobs[0]["spec"]["training"].get("steps")
        given = {"pruner": pruner, "metric": study.arm.task.primary, "higher_is_better": higher}
        given["demands"] = stopping.demands(pruner, peers, higher, last)
        return [{**job, "stopping": given} for job in suggestion.jobs]


def known(sweep: Sweep, options: Options) -> Sweep:
    """The sweep with the trials that a search's records allow by now, as a list that is not searched further."""
    return sweep if sweep.search is None else replace(Searching(sweep, options).sweep(), search=None)


def curve(record: records.Record, metric: str) -> Curve:
    """The metric on validation by step, without what is not finite."""
    rows = (row for row in record.metrics() if (row["split"], row["name"]) == ("val", metric))
    return [(int(row["step"]), float(row["value"])) for row in rows if abs(row["value"]) < float("inf")]
