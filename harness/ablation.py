"""The question file: what is asked, what is expected, what is fixed and what is compared. TOML, checked on reading."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

from harness.errors import UsageError, did_you_mean

SECTIONS = ("fixed", "compare", "resources")


def _share_or_whole(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise PydanticCustomError("gpus", "a trial takes a share of one GPU, or a whole number of them")
    return gpus


Gpus = Annotated[float, Field(ge=0), AfterValidator(_share_or_whole)]


class ArmResources(BaseModel):
    """What the trials of some arms may take otherwise."""

    model_config = ConfigDict(extra="forbid", strict=True)

    only: dict[str, str | int | float] = Field(min_length=1)
    """Axis to label, as under [compare]."""
    cpus_per_trial: float | None = Field(default=None, gt=0)
    gpus_per_trial: Gpus | None = None
    timeout_minutes: float | None = Field(default=None, gt=0)
    memory_gib: float | None = Field(default=None, gt=0)


class Resources(BaseModel):
    """What one trial may take. Not part of a trial's identity."""

    model_config = ConfigDict(extra="forbid", strict=True)

    cpus_per_trial: float = Field(default=1.0, gt=0)
    gpus_per_trial: Gpus = 0.0
    """A training trial that asks for no GPU sees none; a share such as 0.25 is scheduled, not enforced."""
    timeout_minutes: float | None = Field(default=None, gt=0)
    silent_minutes: float = Field(default=60.0, gt=0)
    """A trial that does no step and records nothing for so long has hung, and ends `timeout`."""
    memory_gib: float | None = Field(default=None, gt=0)
    max_attempts: int = Field(default=2, ge=1)
    arms: list[ArmResources] = []
    """Arms with other numbers, such as a longer task; the last that matches counts."""


class Ablation(BaseModel):
    """One question file, as written; `harness.plan` expands it into trials."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: str = Field(min_length=1)
    expect: str = Field(min_length=1)
    kind: Literal["train", "throughput"] = "train"
    preset: str | None = None
    """The recipe that says what [fixed] and [compare] leave out, such as "fair"."""
    repeats: int = Field(default=1, ge=1)
    """Seeds 0 .. repeats-1, shared by all arms, so that differences are paired."""
    labels: list[str] = []
    """What a reader must be told beside every result, such as "small model"."""
    tolerance: float | None = Field(default=None, gt=0)
    """For arms that should agree (axis `backend`): the largest relative difference of their loss curves."""
    fixed: dict[str, Any] = {}
    compare: dict[str, Any] = {}
    tune: dict[str, Any] | None = None
    resources: Resources = Resources()

    _name: str = PrivateAttr("")
    _text: str = PrivateAttr("")
    _path: str = PrivateAttr("")
    _settings: tuple[str, ...] = PrivateAttr(())

    @property
    def name(self) -> str:
        """The file's name without its ending: the name of the results folder and the MLflow experiment."""
        return self._name

    @property
    def text(self) -> str:
        return self._text

    @property
    def path(self) -> str:
        return self._path

    @property
    def settings(self) -> tuple[str, ...]:
        """The `--set` overrides, which the text does not show."""
        return self._settings

    def wrong(self, sentence: str, section: str = "", key: str = "", value: object = None) -> UsageError:
        """The error for a mistake at `section.key`, with the file and the line where it stands."""
        return UsageError(f"{self._path}{_where(self._text, section, key, value)}: {sentence}")


def read(path: Path, settings: list[str] | None = None, smoke: bool = False) -> Ablation:
    """Read and check a question file; `settings` are `key=value` overrides, the value in TOML.

    Raises UsageError with file, line and the fix.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = did_you_mean(path.name, (other.name for other in path.parent.glob("*.toml")))
        raise UsageError(f"The ablation file '{path}' does not exist. {near}Give the path of a .toml file.") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"The ablation file '{path}' cannot be read: {problem}. Give a UTF-8 .toml file.") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise UsageError(f"{path}: not valid TOML: {problem}. Mend that line.") from None
    for setting in settings or []:
        _apply(document, setting)
    _refuse_control_characters(path, document)
    try:
        ablation = Ablation.model_validate(document)
    except ValidationError as problem:
        raise UsageError(_sentence(path, text, problem)) from None
    ablation._name = _name(path) + ("-smoke" if smoke else "")
    ablation._text, ablation._path, ablation._settings = text, str(path), tuple(settings or ())
    return ablation


def assignment(setting: str) -> tuple[list[str], Any]:
    """The parts of the key and the value of `a.b=value`, the value in TOML or as it stands. Raises UsageError."""
    key, equals, raw = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {setting}: write it as key=value, for example --set training.steps=200.")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    return [part.strip().strip('"') for part in key.split(".")], value


def _name(path: Path) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", path.stem):
        raise UsageError(
            f"The ablation file {path.name!r} names a results folder: use at most 100 letters, digits, '.', '_' and "
            f"'-', and begin with a letter or digit."
        )
    return path.stem


def _refuse_control_characters(path: Path, value: Any) -> None:
    """What a file says is shown on terminals, which obey them, and kept in databases, some of which take no NUL."""
    if isinstance(value, str):
        bad = next((one for one in value if unicodedata.category(one) == "Cc" and one not in "\n\t"), None)
        if bad is not None:
            raise UsageError(f"{path}: {value[:60]!r} holds the control character {bad!r}. Remove it.")
    elif isinstance(value, dict):
        for item in (*value, *value.values()):
            _refuse_control_characters(path, item)
    elif isinstance(value, list):
        for item in value:
            _refuse_control_characters(path, item)


def _apply(document: dict[str, Any], setting: str) -> None:
    """Write `a.b=value` into the document: at the top when `a` is a key of the file, else under [fixed]."""
    path, value = assignment(setting)
    target = document if path[0] in Ablation.model_fields else document.setdefault("fixed", {})
    if not isinstance(target, dict):
        raise UsageError(f"--set {setting}: fixed is {target!r} in the file; make it a table, [fixed].")
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if isinstance(inner, str):
            inner = target[part] = {"name": inner}
        if not isinstance(inner, dict):
            raise UsageError(f"--set {setting}: '{part}' is {inner!r}, which has no parts. Set the whole of it.")
        target = inner
    target[path[-1]] = value


def _sentence(path: Path, text: str, problem: ValidationError) -> str:
    """One clear sentence for the first thing that is wrong with the file."""
    first = problem.errors()[0]
    place = [str(part) for part in first["loc"]]
    section, key = (place[0], place[-1]) if len(place) > 1 else ("", place[0])
    where = f"{path}{_where(text, section, key)}"
    known = Resources.model_fields if section == "resources" else Ablation.model_fields
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key '{key}'. {did_you_mean(key, known)}Choose one of: {', '.join(known)}."
    if first["type"] == "missing":
        return f"{path}: the key '{key}' is missing. Add {key} = \"...\" at the top of the file."
    return f"{where}: {'.'.join(place)} is {first['input']!r}: {_lower(first['msg'])}."


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _where(text: str, section: str, key: str, value: object = None) -> str:
    """`, line 12` of the line that sets `section.key`, or that names `value` at or after it; empty if not found."""
    lines = text.splitlines()
    start = 0
    if section:
        start = next((i for i, line in enumerate(lines) if re.match(rf"\s*\[{re.escape(section)}\b", line)), 0)
    head = re.escape(key.partition(".")[0])
    last = re.escape(key.rpartition(".")[2])
    patterns = [
        rf'\s*"?{re.escape(key)}"?\s*=',
        rf'\s*"?{head}"?\s*[.=]',
        rf'.*\b{last}"?\s*=',
        rf"\s*\[{re.escape(key)}\]",
    ]
    for pattern in patterns:
        for number in range(start, len(lines)):
            if key and re.match(pattern, lines[number]):
                if value is not None:
                    spelled = f'"{value}"' if isinstance(value, str) else str(value)
                    number = next((i for i in range(number, len(lines)) if spelled in lines[i]), number)
                return f", line {number + 1}"
    return ""
