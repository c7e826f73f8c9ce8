"""What tasks over written language share: how texts are cut and coded, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.errors import UsageError, unknown
from harness.tasks.classification import Classification
from harness.tasks.coding import BYTES, Coding
from harness.tasks.task import Inputs, check_at_least


@dataclass(frozen=True)
class Written(Classification):
    """A classification of texts. Subclasses add their data, and set the official length and character count."""

    official_length: ClassVar[int]
    official_characters: ClassVar[int]
    """Ids of the official S4 code's vocabulary of characters, without the end of a text."""

    unit: Literal["byte", "char"] = "byte"
    """Bytes, as Long Range Arena has it, or characters, as the official S4 code has it."""
    max_length: int = 4096
    """Tokens of a text; what is behind them is cut."""
    eos: bool = False
    """End every text with a token of its own, which takes the place of the last one where the text is cut."""
    vocabulary: int | None = None
    """Ids, padding included. None is written out: 257 for bytes, the official set's number for characters, and eos."""
    min_frequency: int = 15
    """Characters that the training texts have less often share one id; bytes all have their own."""

    def __post_init__(self) -> None:
        if self.unit not in ("byte", "char"):
            raise unknown("task.unit", self.unit, ("byte", "char"))
        check_at_least(self, {"max_length": 1 + self.eos, "min_frequency": 1})
        if self.vocabulary is None:
            own = BYTES if self.unit == "byte" else self.official_characters
            object.__setattr__(self, "vocabulary", own + self.eos)
        elif self.unit == "byte" and self.vocabulary != BYTES + self.eos:
            raise UsageError(
                f"task.vocabulary is {self.vocabulary}, but bytes have {BYTES + self.eos} ids; leave it out, "
                f"or set task.unit = 'char'."
            )
        elif not 3 + self.eos <= self.vocabulary <= 2**15:
            raise UsageError(f"task.vocabulary is {self.vocabulary}; it must be {3 + self.eos} to {2**15}.")

    @property
    def inputs(self) -> Inputs:
        return Inputs("tokens", self.coding.vocabulary)

    @property
    def coding(self) -> Coding:
        assert self.vocabulary is not None
        return Coding(self.unit, self.max_length, self.eos, self.vocabulary, self.min_frequency)

    def cut(self) -> list[str]:
        """The label of a length that is not the official one, if any."""
        changed = self.max_length != self.official_length
        return [f"cut to {self.max_length:,} {self.unit}s instead of {self.official_length:,}"] if changed else []
