"""The parent run of each sweep in an experiment, found by the hash of the ablation's text.

Several processes may share a sweep (`--shard`), and the store has no "create unless it is there". So a parent is
looked for again before it is made and after, and before it is closed: of several the first is kept, by start time and
then by id, as every process sees it, and the trials of the others are moved below it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.records import Row
from harness.track import describe, shipping, view
from harness.track.shipping import Run

PAGE = 1000


class Parents:
    """The parents in the experiment with the id `experiment`, each by its text hash."""

    def __init__(self, client: Any, experiment: str, name: str) -> None:
        self.client, self.experiment, self.name = client, experiment, name
        self._known: dict[str, Run] = {}

    def find(self) -> None:
        """Read what the store holds."""
        for text in {str(run.data.tags["harness.text"]) for run in self._search("tags.`harness.kind` = 'sweep'")}:
            self._look(text)

    def of(self, header: Row) -> Run:
        """The parent of the trial with this header, made when there is none."""
        text = describe.text_hash(header)
        if run := self._known.get(text) or self._look(text):
            return run
        for tag, value in ((describe.NOTE, describe.note(header)), (view.TAG, view.state(header))):
            self.client.set_experiment_tag(self.experiment, tag, value)
        made = self.client.create_run(
            self.experiment,
            start_time=describe.milliseconds(header["created"]),
            tags=describe.sweep_tags(header, self.name),
            run_name=self.name,
        )
        new = Run(made.info.run_id, made.info.artifact_uri, "running")
        shipping.upload(self.client, new.artifacts, {"ablation.toml": str(header["ablation"].get("text", "")).encode()})
        return self._look(text) or new

    def settle_shared(self, text: str) -> None:
        """Close the parent by the trials that the store holds below it, whoever made them.

        Counted again after each closing: what another process ended meanwhile is in one of the two counts.
        """
        counts: Counter[str] = Counter()
        while (found := self._census(text))[0] != counts:
            counts = found[0]
            self.settle(text, *found)

    def _census(self, text: str) -> tuple[Counter[str], float]:
        """The trials below the parent by status, and when the last of them ended, in Unix seconds."""
        run = self._look(text)
        below = list(self._search(f"tags.`mlflow.parentRunId` = '{run.run_id}'")) if run else []
        counts = Counter(trial.data.tags.get("status", "running") for trial in below)
        return counts, max((trial.info.end_time or 0 for trial in below), default=0) / 1000

    def settle(self, text: str, counts: Mapping[str, int], ended: float) -> None:
        """Close the parent; `counts` are its trials by status. It stays open while one of them is `running`."""
        if "running" in counts:
            self.reopen(text)
            return
        run = self._look(text)
        summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        if run is None or run.status == summary:
            return
        statuses = {describe.RUN_STATUS[status] for status in counts}
        worst = next((one for one in ("KILLED", "FAILED") if one in statuses), "FINISHED")
        shipping.state(self.client, run, summary, worst, ended)

    def reopen(self, text: str) -> None:
        """Mark a sweep as running again."""
        known = self._known.get(text)
        if known is not None and known.status == "running":
            return
        run = self._look(text)
        if run is not None and run.status != "running":
            shipping.state(self.client, run, "running", "RUNNING")

    def _look(self, text: str) -> Run | None:
        """The parent as the store has it now, made one; None when it has none."""
        wanted = f"tags.`harness.kind` = 'sweep' and tags.`harness.text` = '{text}'"
        found = sorted(self._search(wanted), key=lambda run: (run.info.start_time, run.info.run_id))
        if not found:
            self._known.pop(text, None)
            return None
        first = found[0]
        run = Run(first.info.run_id, first.info.artifact_uri, first.data.tags.get("status", ""))
        for extra in found[1:]:
            self._move(extra.info.run_id, run.run_id)
            self.client.delete_run(extra.info.run_id)
        before = self._known.get(text)
        if before is not None and before.run_id != run.run_id:
            # Another process has removed ours, perhaps before we made the last trials below it.
            self._move(before.run_id, run.run_id)
        self._known[text] = run
        return run

    def _move(self, old: str, new: str) -> None:
        for trial in list(self._search(f"tags.`mlflow.parentRunId` = '{old}'")):
            self.client.set_tag(trial.info.run_id, "mlflow.parentRunId", new)

    def _search(self, wanted: str) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs([self.experiment], wanted, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return
