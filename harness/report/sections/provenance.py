"""How it was done and how to do it again."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pandas as pd

from harness.report import words
from harness.report.evidence import Evidence, Study
from harness.report.section import Part, Section, SectionBuilder, Table, text

STATISTICS = (
    "Cells of few seeds: mean and Student t interval at 95 %, not corrected for the number of cells.",
    "Contrasts: differences paired by seed, because the arms of one seed share data, order and shared weights; the "
    "exact sign-flip p is printed from six pairs on. One primary contrast is named in each file before it runs; every "
    "other comparison is exploratory.",
    "Model selection: the best step on validation; the test set is read once, at that step.",
    "Timings: median and quartiles over interleaved repeats; ratios by circular block bootstrap of log-ratios.",
)
SEARCHES = (
    "Searches: every arm tries the same number of configurations on a seed of their own; the one that is best on "
    "validation is trained again on fresh seeds, and those scores alone are reported."
)
PLUGIN_FILE = "harness_plugin_"
"""What the name of a module begins with that was loaded from a file."""


@dataclass(frozen=True)
class Provenance(SectionBuilder):
    """Protocol, seeds, versions, devices, data and the command that reproduces each ablation."""

    def applies(self, evidence: Evidence) -> bool:
        return True

    def build(self, evidence: Evidence) -> Section:
        said = (*STATISTICS, SEARCHES) if any(study.tune for study in evidence.studies) else STATISTICS
        return Section("Method and provenance", said, tuple(_part(study) for study in evidence.studies))


def _part(study: Study) -> Part:
    headers = [trial.header for trial in (*study.trials, *study.tuning)]
    facts = {
        "Reproduce": _command(study),
        "Trials": f"{len(study.trials)} of {study.planned} planned",
        "Tuning": f"{len(study.tuning)} trials from seed {study.tune['seed']} on" if study.tune else "",
        "Seeds": words.listed(str(seed) for seed in sorted({trial.seed for trial in study.trials})),
        "Run": _dates(float(header["created"]) for header in headers),
        "Commit": _each(_commit(header.get("git") or {}) for header in headers),
        "Harness": _each(str(header.get("harness", "")) for header in headers),
        "Versions": _each(
            ", ".join(f"{name} {version}" for name, version in sorted(header.get("versions", {}).items()))
            for header in headers
        ),
        "Device": _each(_device(header.get("device", {})) for header in headers),
        "Data": _each(_data(header.get("data") or {}) for header in headers),
        "Labels": "; ".join(study.labels),
        "Plugins": _each(", ".join(map(str, header.get("plugins", []))) for header in headers),
        "Protocol": _protocol(study),
    }
    rows = [{"what": name, "value": value} for name, value in facts.items() if value]
    if study.set_aside:
        rows.append(
            {
                "what": "Set aside",
                "value": f"{words.count(study.set_aside, 'record')} of other forms of the file or with other settings",
            }
        )
    trials = pd.DataFrame(
        [
            {
                "trial": trial.id,
                "arm": words.arm_name(study.arm(trial)),
                "seed": trial.seed,
                "status": trial.status,
                "seconds": _rounded((trial.record.end or {}).get("seconds")),
                "peak MiB": _rounded((trial.record.end or {}).get("peak_memory_bytes"), 2**20),
            }
            for trial in study.trials
        ]
    )
    return Part(
        study.name,
        tables=(
            Table(
                f"provenance-{study.name}",
                f"{study.name}: how it was run.",
                pd.DataFrame(rows),
                dict.fromkeys(("what", "value"), text),
            ),
            Table(f"trials-{study.name}", f"{study.name}: its trials.", trials, dict.fromkeys(trials.columns, text)),
        ),
        code=((study.file, str(study.ablation["text"])),),
    )


def _command(study: Study) -> str:
    """The command that plans the same trials, with a stand-in for what a record does not know: where things lie."""
    headers = [trial.header for trial in (*study.trials, *study.tuning)]
    command = ["harness", "run", study.file, *(["--smoke"] if study.smoke else [])]
    for setting in study.settings:
        command += ["--set", setting]
    for plugin in dict.fromkeys(_plugin(str(name)) for header in headers for name in header.get("plugins") or []):
        command += ["--plugin", plugin]
    if any((header.get("data") or {}).get("kind") == "real" for header in headers):
        command += ["--data-root", "PATH"]
    return shlex.join(command)


def _plugin(name: str) -> str:
    """A module as it is given to --plugin: its name, or the file that it was loaded from."""
    if name.startswith(PLUGIN_FILE):
        return f"PATH/{name.removeprefix(PLUGIN_FILE)}.py"
    return f"PATH/{PurePath(name).name}" if name.endswith(".py") else name


def _each(values: Iterable[str]) -> str:
    """The different values, in the order of first use."""
    return "; ".join(dict.fromkeys(value for value in values if value))


def _dates(times: Iterable[float]) -> str:
    days = sorted(datetime.datetime.fromtimestamp(time, datetime.UTC).date().isoformat() for time in times)
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def _commit(git: Mapping[str, Any]) -> str:
    commit = git.get("commit")
    if not commit:
        return "unknown"
    return f"{commit} (dirty: the checkout had changes that this commit lacks)" if git.get("dirty") else str(commit)


def _device(device: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in device.items() if key not in ("kind", "name"))
    return " ".join(filter(None, (str(device.get("name") or device.get("kind", "")), f"({rest})" if rest else "")))


def _data(data: Mapping[str, Any]) -> str:
    if not data.get("fingerprint"):
        return ""
    labels = "".join(f", {label}" for label in data.get("labels", []))
    return f"{data.get('kind', '')}, {data.get('source', '')}{labels}, fingerprint {data.get('fingerprint', '')}"


def _protocol(study: Study) -> str:
    """What all trials share, part by part, and which parameters differ though no axis compares them."""
    specs = [trial.spec for trial in study.trials]
    said = []
    for part in ("task", "model", "backend", "training", "timer"):
        choices = [spec[part] for spec in specs if part in spec]
        if choices:
            same, different = [], []
            for key in dict.fromkeys(key for choice in choices for key in choice if key not in ("name", "version")):
                values = list(dict.fromkeys(json.dumps(choice.get(key)) for choice in choices))
                if len(values) == 1:
                    same.append(f"{key} {values[0]}")
                elif part not in (*study.axes, *study.parts_of_cases) and f"{part}.{key}" not in study.axes:
                    different.append(f"{key} {' / '.join(values)}")
            names = words.listed(dict.fromkeys(str(choice["name"]) for choice in choices))
            listed = ", ".join([*same, *([f"differs between arms: {', '.join(different)}"] if different else [])])
            said.append(f"{part} {names}" + (f" ({listed})" if listed else ""))
    return "; ".join(said)


def _rounded(value: Any, unit: float = 1.0) -> float | None:
    return None if value is None else round(float(value) / unit, 1)
