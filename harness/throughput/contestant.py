"""What is timed, as a question file writes it: "krylov", "krylov(squarings=float32)", "two_level + chunked".

    contestant = backend [ "(" option "=" value { "," option "=" value } ")" ] [ "+" application ]

The text is the contestant's label everywhere. `given` is no backend: a layer whose kernel is there already, free of
cost, which is what is left when generation costs nothing. Torch-free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from harness.errors import UsageError, unknown
from harness.kernels import KERNELS
from harness.kernels.backend import Application, Backend
from harness.registry import check_keys, lookup

GIVEN = "given"
APPLICATIONS: tuple[Application, ...] = get_args(Application)
_FORM = re.compile(r"(?P<name>[\w-]+)\s*(?:\((?P<options>[^()]*)\))?\s*(?:\+\s*(?P<application>[\w-]+))?")


@dataclass(frozen=True)
class Contestant:
    """A backend with its options and, in a layer or a model, the way its kernel meets the sequence."""

    text: str
    name: str
    options: tuple[tuple[str, Any], ...] = ()
    application: Application = "fft"

    @property
    def given(self) -> bool:
        return self.name == GIVEN

    @property
    def backend(self) -> Backend:
        """Raises UsageError for `given`, which has none."""
        made: Backend = lookup("backend", KERNELS, self.name)(**dict(self.options))
        return made

    @property
    def identity(self) -> tuple[object, ...]:
        """What two texts of one contestant share."""
        return self.name, tuple(sorted(self.options)), self.application


def parse(text: str, applied: bool, may_be_given: bool = False) -> Contestant:
    """The contestant that `text` names; `applied` when it may say an application.

    Raises UsageError for a text of another form and for a backend, option, value or application that does not exist.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f'\'{text}\' names no contestant; write a backend, such as "krylov", "krylov(squarings=float32)" or '
            f'"krylov + fft".'
        )
    name, listed, application = found["name"], found["options"], found["application"]
    if application is not None and not applied:
        raise UsageError(
            f"'{text}' says how the kernel is applied, but kernel generation alone is timed; "
            f'leave "+ {application}" out, or use the timer "layer".'
        )
    if application not in (None, *APPLICATIONS):
        raise unknown("application", application, APPLICATIONS)
    how: Application = application or "fft"
    if name == GIVEN:
        if not may_be_given or listed is not None or how != "fft":
            raise UsageError(
                f"'{text}': a given kernel is applied by FFT, has no options, and is for the timer \"layer\" alone; "
                f'write "{GIVEN} + fft" there.'
            )
        return Contestant(text, GIVEN)
    return Contestant(text, name, _options(name, listed or ""), how)


def _options(name: str, listed: str) -> tuple[tuple[str, Any], ...]:
    """The options of "squarings=float32, ..." as the backend's own types."""
    component = lookup("backend", KERNELS, name)
    hints = get_type_hints(component)
    chosen: dict[str, Any] = {}
    for one in filter(None, (part.strip() for part in listed.split(","))):
        key, equals, word = (piece.strip() for piece in one.partition("="))
        if not equals or key in chosen:
            raise UsageError(f"'{name}({listed})': write each option once, as option=value, with commas between them.")
        check_keys("backend", component, name, {key: word})
        chosen[key] = _value(f"{name}({key})", hints[key], word)
    return tuple(chosen.items())


def _value(place: str, hint: Any, word: str) -> Any:
    """`word` as a value of the type `hint`. Raises UsageError when it is none."""
    choices = get_args(hint) if get_origin(hint) is Literal else (True, False) if hint is bool else None
    if choices is not None:
        spelled = {str(choice).lower() if isinstance(choice, bool) else str(choice): choice for choice in choices}
        if word not in spelled:
            raise unknown(f"value of {place}", word, spelled)
        return spelled[word]
    try:
        return hint(word) if hint in (int, float, str) else _refuse()
    except ValueError:
        kind = getattr(hint, "__name__", str(hint))
        raise UsageError(f"{place} is '{word}', which is no {kind}; give one that is.") from None


def _refuse() -> None:
    raise ValueError
