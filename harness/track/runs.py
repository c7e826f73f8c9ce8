"""One experiment of an MLflow store: a parent run for each sweep, a run for each trial, found by their tags.

What a run already holds is read from its own tags, so a new process goes on where the last one ended:
`harness.rows` and `harness.digest` name the rows that were shipped, `harness.record` the whole ended record.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from harness.errors import EnvironmentProblem
from harness.track import describe, shipping
from harness.track.delivered import TAG
from harness.track.parents import PAGE, Parents
from harness.track.shipping import Run
from harness.track.snapshot import Snapshot


class Runs:
    """The runs of the experiment `name`, which is made when it is missing. Every method talks to the store.

    Where `only` is given, the runs of all other trials are another process's, and left alone.
    """

    def __init__(self, client: Any, name: str, artifacts: str | None, only: Collection[str] | None = None) -> None:
        self.client, self.name, self.artifacts, self.only = client, name, artifacts, only
        self.experiment = self._experiment()
        self.trials: dict[str, Run] = {}
        self.parents = Parents(client, self.experiment.experiment_id, name)

    def find(self) -> None:
        """Read what the store holds. Of several runs for a trial the fullest is kept, of several parents the first."""
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment.experiment_id], max_results=PAGE, page_token=token, order_by=["attribute.start_time"]
            )
            for found in page:
                self._take(found)
            token = page.token
            if not token:
                break
        self.parents.find()

    def ping(self) -> bool:
        """Whether the store answers at all."""
        try:
            self.client.get_experiment(self.experiment.experiment_id)
        except Exception:
            return False
        return True

    def deliver(self, taken: Snapshot, live: bool) -> Run:
        """Ship what the run lacks of the record's committed rows, and everything else once the record has ended.

        A run that holds rows which the record no longer has (a retry went back behind them) is replaced.
        A record without an end is `running` when `live`, else `interrupted`.
        """
        run = self.trials.get(taken.trial_id)
        if run is not None and run.rows and run.digest != taken.digest(run.rows):
            self.client.delete_run(run.run_id)
            run = None
        if run is None:
            run = self.trials[taken.trial_id] = self._create(taken)
        if taken.end is not None and run.record == taken.sha256:
            return run
        shipping.rows(self.client, run, taken)
        if taken.end is not None:
            shipping.finish(self.client, run, taken)
        elif live and run.status != "running":
            shipping.state(self.client, run, "running", "RUNNING")
        elif not live and run.status != "interrupted":
            shipping.state(self.client, run, "interrupted", "KILLED")
        return run

    def remember(self, fingerprint: str) -> None:
        """Note on the experiment that a folder in this state is delivered whole."""
        self.client.set_experiment_tag(self.experiment.experiment_id, TAG, fingerprint)

    @property
    def remembered(self) -> str:
        return str(self.experiment.tags.get(TAG, ""))

    def _experiment(self) -> Any:
        found = self.client.get_experiment_by_name(self.name)
        if found is None:
            try:
                self.client.create_experiment(self.name, artifact_location=self.artifacts, tags=describe.EXPERIMENT)
            except Exception as problem:
                # Another process may have made it between the two calls.
                if "exists" not in str(problem).lower():
                    raise
            found = self.client.get_experiment_by_name(self.name)
        if found.lifecycle_stage != "active":
            raise EnvironmentProblem(
                f"The MLflow experiment '{self.name}' was deleted; restore it with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or remove it for good."
            )
        return found

    def _take(self, found: Any) -> None:
        tags = found.data.tags
        trial_id = tags.get("harness.trial_id", "")
        if tags.get("harness.kind") != "trial" or (self.only is not None and trial_id not in self.only):
            return
        rows = int(tags.get("harness.rows", 0))
        run = Run(
            found.info.run_id,
            found.info.artifact_uri,
            tags.get("status", ""),
            rows,
            tags.get("harness.digest", ""),
            tags.get("harness.record", ""),
            "harness.rows" in tags,
        )
        other = self.trials.get(trial_id)
        if other is None:
            self.trials[trial_id] = run
            return
        kept, extra = (run, other) if (bool(run.record), rows) > (bool(other.record), other.rows) else (other, run)
        self.client.delete_run(extra.run_id)
        self.trials[trial_id] = kept

    def _create(self, taken: Snapshot) -> Run:
        header = taken.header
        parent = self.parents.of(header)
        tags = {**describe.tags(header), "status": "running", "attempt": "1", "mlflow.parentRunId": parent.run_id}
        made = self.client.create_run(
            self.experiment.experiment_id,
            start_time=describe.milliseconds(header["created"]),
            tags=tags,
            run_name=describe.run_name(header),
        )
        return Run(made.info.run_id, made.info.artifact_uri, "running")
