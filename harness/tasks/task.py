"""What a task is: batches that are a pure function of (seed, step), a loss, metrics and honest references.

Legend: M examples in a batch, L sequence length, d channels, K outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.errors import UsageError

if TYPE_CHECKING:
    import torch

    from harness.tasks.files import DataFile


NOT_ASKED = -100
"""The class of a step that no answer is asked at."""


@dataclass(frozen=True)
class Inputs:
    """What the encoder reads: `tokens` are integers (M, L) below `size`; `real` is float32 (M, L, size).

    With two towers an example is a pair of sequences, (M, 2, L) or (M, 2, L, size), encoded by the same weights.
    """

    kind: Literal["tokens", "real"]
    size: int
    towers: Literal[1, 2] = 1


@dataclass(frozen=True)
class Provenance:
    """Where the data comes from, carried by every record. The fingerprint changes when the data does."""

    fingerprint: str
    kind: Literal["real", "generated", "substitute"]
    source: str
    labels: tuple[str, ...] = ()
    """What a reader must be told beside every result, such as "lossy images" or "subset of 2,000"."""


@dataclass
class Batch:
    """x as `Inputs` says; y is a class int64 (M,) or numbers float32 (M, K) for each example, or for each step of it:
    int64 (M, L), NOT_ASKED where no answer is, or float32 (M, L, K). Lengths int64 (M,), or (M, 2) of pairs, where
    sequences are padded.
    """

    x: torch.Tensor
    y: torch.Tensor
    lengths: torch.Tensor | None = None


class Data(ABC):
    """An opened task. Holds tensors; everything it returns depends on its arguments alone."""

    sizes: Mapping[str, int]
    """Examples in "train" (per epoch, where they are drawn afresh), "val" and "test"."""

    def to(self, device: torch.device) -> None:  # noqa: B027
        """Keep on `device` what fits there, so that batches come from it; what a batch holds does not change."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Full batches in an epoch; the order of the next epoch is a new permutation."""
        return max(1, self.sizes["train"] // batch_size)

    @abstractmethod
    def train_batch(self, step: int, batch_size: int, order_seed: int) -> Batch:
        """Batch number `step` of training; the same for every arm of a seed, and after a resume."""

    @abstractmethod
    def evaluation(self, split: str, batch_size: int) -> Iterator[Batch]:
        """Every example of "val" or "test" once, in a fixed order, the last batch as small as it comes."""

    @abstractmethod
    def references(self) -> dict[str, float]:
        """Scores on "test" in the primary metric that need no model, such as {"chance": 0.1, "majority": 0.17}."""


class Task(ABC):
    """A task. Subclasses are frozen dataclasses whose fields are its parameters; no torch at import."""

    version: ClassVar[int] = 1
    title: ClassVar[str]
    """The column heading in a report, such as "ListOps"."""
    suite: ClassVar[Literal["lra", "synthetic"]]
    primary: ClassVar[str]
    """The metric that a report leads with and validation selects by."""
    higher_is_better: ClassVar[bool]
    per_step: ClassVar[bool] = False
    """True when the model answers at every position, so that nothing is pooled."""

    @property
    @abstractmethod
    def inputs(self) -> Inputs: ...

    @property
    @abstractmethod
    def outputs(self) -> int:
        """K: classes, or channels of the target."""

    @property
    @abstractmethod
    def max_length(self) -> int:
        """The longest sequence that a batch may hold."""

    @abstractmethod
    def provenance(self, data_root: Path | None) -> Provenance:
        """Fast, and without torch. Raises EnvironmentProblem, with what to get and where, when data is missing."""

    @classmethod
    def files(cls) -> tuple[DataFile, ...]:
        """Every file that tasks of this kind may read."""
        return ()

    def reads(self) -> tuple[DataFile, ...]:
        """The files that this task reads; what is missing of them can be fetched where it has an address."""
        return tuple(file for file in self.files() if file.needed)

    def prepare(self, data_root: Path | None) -> str | None:
        """Make what `open` reads from the cache, without torch; the entry's name, None where nothing is cached."""
        return None

    @abstractmethod
    def open(self, data_root: Path | None, seed: int) -> Data:
        """Load or generate the data; `seed` (the stream "data") decides splits and what is drawn."""

    @abstractmethod
    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The scalar to minimise; outputs (M, K), or (M, L, K) when `per_step`."""

    @abstractmethod
    def score(self, outputs: torch.Tensor, batch: Batch) -> dict[str, tuple[float, int]]:
        """Sums over the batch and their counts, by name, among them "loss"; the means are taken over a split."""

    def standard_errors(self, metrics: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
        """What the number of examples alone leaves open of some of the `metrics`; nothing is said of the others."""
        return {}

    def summary(self, means: Mapping[str, float]) -> dict[str, float]:
        """The metrics of a split from the means of `score`; here they are the means themselves."""
        return dict(means)


def check_at_least(task: Task, least: dict[str, int]) -> None:
    """Raise UsageError for the first parameter that is below its bound; one that is None has none."""
    for name, bound in least.items():
        if (value := getattr(task, name)) is not None and value < bound:
            raise UsageError(f"task.{name} is {value}; it must be at least {bound}.")
