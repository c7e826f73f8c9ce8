"""Words that may stand unquoted in a launch file, because they have been looked at."""

from __future__ import annotations

import re

from harness.errors import UsageError


class Word(str):
    """Text without anything that a shell, YAML, a Dockerfile or SLURM would take apart."""


def word(option: str, text: str) -> Word:
    """`text`, of letters, digits and . _ / : @ , + = % - alone. Raises UsageError with the option's name."""
    if not re.fullmatch(r"[A-Za-z0-9_/][A-Za-z0-9._/:@,+=%-]*", text):
        raise UsageError(f"{option} is {text!r}; use letters, digits and . _ / : @ , + = % - only.")
    return Word(text)


def sbatch(option: str, text: str) -> Word:
    """One option of sbatch, such as --qos=high. Raises UsageError for anything else."""
    if not re.fullmatch(r"--[a-z][a-z-]*(=[A-Za-z0-9._/:@,+%*&|()\[\]-]+)?", text):
        raise UsageError(f"{option} is {text!r}; write one option of sbatch, such as --qos=high.")
    return Word(text)


def label(name: str) -> str:
    """A name as KubeRay takes it: lower case, digits and -, a letter first, at most 40 characters (it allows 47)."""
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (made if made[:1].isalpha() else f"sweep-{made}")[:40].rstrip("-")


def clock(seconds: float) -> Word:
    """Days, hours, minutes and seconds as SLURM writes them, 1-02:30:00."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return Word(f"{days}-{hour:02}:{minute:02}:{second:02}")
