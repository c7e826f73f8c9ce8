"""Every error a user can meet: what is wrong, what was got, what to do; one sentence, one exit code."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class HarnessError(Exception):
    """An error with a sentence for the user. `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(HarnessError):
    """A mistake in a file, an option or a value: the user can mend it."""

    exit_code = 2


class EnvironmentProblem(HarnessError):
    """The machine cannot do what was asked: a missing package, device, file or server."""

    exit_code = 3


class Unsupported(HarnessError):
    """A named component cannot run the request; `reasons` are whole sentences. Ends a trial `unsupported`."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(" ".join(self.reasons))


class Diverged(HarnessError):
    """A loss or gradient stopped being finite. Ends a trial `diverged`."""


class Interrupted(HarnessError):
    """The trial was asked to stop; its checkpoint is whole. Ends a trial `interrupted`."""

    exit_code = 130


def no_space(problem: BaseException) -> str:
    """What to tell of an error that comes from a full disk, a used-up quota or a limit on file sizes; else empty."""
    if not isinstance(problem, OSError) or problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ""
    where = f" in '{problem.filename}'" if problem.filename else ""
    return f"{problem.strerror}{where}. Make room, and the same command goes on from the last checkpoint."


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`Did you mean 'legs'? ` when a choice is near, else an empty string."""
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f"Did you mean '{near[0]}'? " if near else ""


def unknown(kind: str, word: str, choices: Iterable[str]) -> UsageError:
    """The error for a name that no table has."""
    known = list(choices)
    hint = did_you_mean(word, known)
    return UsageError(f"Unknown {kind} '{word}'. {hint}Choose one of: {', '.join(known)}.")
