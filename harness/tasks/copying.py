"""The copying task: after a run of blanks, say the tokens that came before it.

    3 1 4 . . . . . # # #   ->   3 1 4 at the three #          selective:   . 3 . . 1 . 4 . # # #

Legend: M examples, T tokens to memorise, L = T + noise + T.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from harness.tasks.files import fingerprint
from harness.tasks.task import NOT_ASKED, Batch, Data, Inputs, Provenance, Task, check_at_least

if TYPE_CHECKING:
    import torch

BLANK = 0


@dataclass(frozen=True)
class Copying(Task):
    """Repeat the tokens seen before a run of blanks, in their order (Hochreiter, Schmidhuber 1997).

    The form of Arjovsky, Shah, Bengio 2016, the sizes of the official S4 code. With `selective` the tokens lie at
    random places among the blanks, so that what to keep depends on the input (Gu, Dao 2023, "Mamba").
    """

    version: ClassVar[int] = 1
    title: ClassVar[str] = "Copying"
    suite: ClassVar[Literal["lra", "synthetic"]] = "synthetic"
    primary: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    per_step: ClassVar[bool] = True

    memorize: int = 10
    """T."""
    noise: int = 100
    """Blanks."""
    tokens: int = 10
    """Size of the alphabet: the blank 0, the marker that asks for an answer, and the tokens between them."""
    selective: bool = False
    examples: int = 16384
    """Training sequences in an epoch, every one drawn afresh."""
    evaluation_examples: int = 1024
    """Sequences in each of the fixed "val" and "test"."""

    def __post_init__(self) -> None:
        check_at_least(self, {"memorize": 1, "noise": 0, "tokens": 4, "examples": 1, "evaluation_examples": 1})

    @property
    def inputs(self) -> Inputs:
        return Inputs("tokens", self.tokens)

    @property
    def outputs(self) -> int:
        return self.tokens

    @property
    def max_length(self) -> int:
        return 2 * self.memorize + self.noise

    def provenance(self, data_root: Path | None) -> Provenance:
        identity = fingerprint("copying", self.version, dataclasses.asdict(self))
        return Provenance(identity, "generated", "uniform tokens drawn by the harness")

    def open(self, data_root: Path | None, seed: int) -> Data:
        from harness.tasks.drawn import Drawn

        return Drawn(self.draw, self.examples, self.evaluation_examples, seed, self.references)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """x and y (M, L); no answer is asked before the last T steps."""
        T = self.memorize
        symbols = rng.integers(1, self.tokens - 1, (count, T))
        places = np.broadcast_to(np.arange(T), (count, T))
        if self.selective:
            places = np.sort(rng.random((count, T + self.noise)).argsort(axis=1)[:, :T], axis=1)
        x = np.full((count, self.max_length), BLANK)
        np.put_along_axis(x, places, symbols, axis=1)
        x[:, -T:] = self.tokens - 1
        y = np.full_like(x, NOT_ASKED)
        y[:, -T:] = symbols
        return x, y

    def loss(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs.flatten(0, 1), batch.y.flatten(), ignore_index=NOT_ASKED)

    def score(self, outputs: torch.Tensor, batch: Batch) -> dict[str, tuple[float, int]]:
        """`accuracy` over the tokens, and over whole sequences, every token of which has to be right."""
        from torch.nn.functional import cross_entropy

        asked = batch.y != NOT_ASKED
        count = int(asked.sum())
        loss = cross_entropy(outputs.flatten(0, 1), batch.y.flatten(), ignore_index=NOT_ASKED, reduction="sum")
        right = outputs.argmax(dim=-1) == batch.y
        whole = (right | ~asked).all(dim=1)
        return {
            "loss": (float(loss), count),
            "accuracy": (float((right & asked).sum()), count),
            "sequence_accuracy": (float(whole.sum()), len(whole)),
        }

    def references(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> dict[str, float]:
        """`chance` guesses among the tokens; `constant` always says the one that the test set asks for most."""
        asked = y[y != NOT_ASKED]
        return {"chance": 1.0 / (self.tokens - 2), "constant": float(np.bincount(asked).max() / asked.size)}
