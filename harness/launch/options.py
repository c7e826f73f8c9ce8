"""What the driver is asked to do. Light: no ray, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

if TYPE_CHECKING:
    from harness.search import Search

RUNNER = "harness.trial:run"


class Mirror(Protocol):
    """Ships records elsewhere while trials run: started before the first, stopped (drained) after the last."""

    def start(self) -> object: ...

    def stop(self) -> object: ...


@dataclass(frozen=True)
class Sweep:
    """One ablation: its jobs, its folder of records and what one trial may use."""

    name: str
    folder: Path
    jobs: Sequence[dict[str, Any]]
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    """A trial that asks for none sees none, unless it is `exclusive`."""
    timeout_s: float | None = None
    """Wall clock of one attempt; past it the trial is killed and ends `timeout`."""
    silent_s: float = 3600.0
    """A trial that does no step and sends no row for so long is killed and ends `timeout`, though its process lives."""
    memory_bytes: int | None = None
    """Resident memory of a trial and its children; past it the trial is killed and ends `out_of_memory`."""
    max_attempts: int = 2
    """Attempts that may end `error`, `timeout` or `out_of_memory`, over all runs; `interrupted` does not count."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Today's data fingerprint by trial id, of a search by arm; a finished record with another one is run afresh."""
    exclusive: bool = False
    """One trial at a time with every processor and, where it asks for no number, every GPU, as timings need."""
    search: Search | None = None
    """What finds the jobs while it runs, where they are not all known before."""
    ids: set[str] = field(default_factory=set)
    """The trials of this process's share of a search, as they become known."""
    arms: Sequence[tuple[Mapping[str, str], Mapping[str, Any]]] = ()
    """Labels by axis, and the fields above that are otherwise for arms with these labels; a later one wins."""

    def of(self, job: Mapping[str, Any]) -> Sweep:
        """The sweep as this job's arm has it, with its own resources."""
        labels = job.get("ablation", {}).get("arm", {})
        changed = {
            key: value
            for wanted, fields in self.arms
            if wanted.items() <= labels.items()
            for key, value in fields.items()
        }
        return replace(self, **changed) if changed else self

    def kinds(self) -> list[Sweep]:
        """The sweep as its arms have it, once for each demand of processors and GPUs."""
        every = [self.of(job) for job in self.jobs] or [self, *(replace(self, **fields) for _, fields in self.arms)]
        return list({(one.cpus_per_trial, one.gpus_per_trial): one for one in every}.values())


@dataclass(frozen=True)
class Options:
    """How the sweeps are run."""

    executor: Literal["ray", "local"] | str = "ray"
    address: str | None = None
    """A running Ray cluster; None starts one on this machine and ends it."""
    storage: str | None = None
    """Folder or URI of the checkpoints under Ray, which every node must reach; None is beside the records."""
    slots: int | None = None
    """Trials at once; None is what the machine holds."""
    data_root: Path | None = None
    plugins: tuple[str, ...] = ()
    deadline_s: float | None = None
    shard: tuple[int, int] | None = None
    """(i, n): only the i-th of n parts, 1 <= i <= n."""
    force: bool = False
    retry_statuses: tuple[str, ...] = ()
    """Statuses that are tried again whatever their number of attempts."""
    mirror: Mirror | None = None
    quiet: bool = False
    runner: str = RUNNER
    """"module:function" called in the child in the place of `harness.trial.run`."""
    path: tuple[str, ...] = ()
    """Folders put first on the child's module path."""
    hang_s: float = 300.0
    """A child whose heartbeat is silent for so long is killed and ends `timeout`."""
    grace_s: float = 60.0
    """Time that a child asked to stop has for its checkpoint and its end row."""


class Task(TypedDict):
    """Everything that a supervisor needs for one trial; plain values, so that it travels to any process."""

    job: dict[str, Any]
    folder: str
    fresh: bool
    """True when a record that has ended must be made anew: its data changed, or the user wants it again.

    A partial one is continued all the same, so that a second supervisor of the task cannot undo the first's work.
    """
    timeout_s: float | None
    silent_s: float
    memory_bytes: int | None
    hang_s: float
    grace_s: float
    threads: int | None
    data_root: str | None
    plugins: list[str]
    runner: str
    path: list[str]
    environment: dict[str, str]
    """Variables set in the child before it computes, such as CUDA_VISIBLE_DEVICES."""


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended."""

    trial_id: str
    status: str
    reason: str = ""
    attempt: int = 1
    failures: int = 0
    """Attempts so far that count against `max_attempts`, this one included."""
    seconds: float = 0.0
    raised: bool = False
    """True when the trial's own code raised: the same code would raise again."""
