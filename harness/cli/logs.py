"""`harness logs`: what a trial printed, and how its attempt ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Results, folders
from harness.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from harness.records import State

POLL_S = 0.3


def logs(
    trial: Annotated[str, typer.Argument(help="Trial id or its beginning, or its name, such as legs+0.")],
    of: Annotated[list[str], typer.Option("--of", metavar="ABLATION", help="Look in these alone.")] = [],  # noqa: B006
    attempt: Annotated[int | None, typer.Option("--attempt", min=1, help="Default: the newest.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on printing until the trial ends.")] = False,
    results: Results = Path("results"),
) -> None:
    """Print what a trial printed, finished, failed or running, with its traceback where it has one."""
    chosen = folders(of, results) if of else sorted({path.parent for path in results.glob("*/*.jsonl*")})
    state = _one(trial, [found for folder in chosen for found in _states(folder)], results)
    past = _read(state.path)
    wanted = attempt or max(past.ends, default=1)
    if wanted not in past.ends:
        raise UsageError(f"{_name(state)} has had {len(past.ends)} attempts, so none of number {wanted}.")
    try:
        printed = "".join(_shown(_printed(state.path, wanted, follow)))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    past = _read(state.path)
    if past.traceback and wanted == max(past.ends):
        print(past.traceback, end="")
    silent = "" if printed else ", and printed nothing" if past.ends[wanted] else " and has printed nothing yet"
    sys.stdout.flush()
    ended = past.ends[wanted] or "still runs, or was cut"
    print(f"{_name(state)}: attempt {wanted} of {max(past.ends)} {ended}{silent}", file=sys.stderr)


@dataclass(frozen=True)
class _Past:
    """How each attempt ended, by its number (empty: not yet), and the traceback of the newest."""

    ends: dict[int, str]
    traceback: str


def _states(folder: Path) -> Iterable[State]:
    from harness.records import scan

    return scan(folder).values()


def _read(path: Path) -> _Past:
    from harness.launch.log import file, parts
    from harness.records import read

    whole = path.with_name(f"{_id(path)}.jsonl")
    record = read(whole if whole.exists() else whole.with_name(f"{whole.name}.partial"))
    rows: list[dict[str, Any]] = [row for row in record.rows if row["row"] == "attempt"]
    history = [*rows[-1]["history"]] if rows else []
    ends = {number: f"ended {end['status']}: {end['reason']}" for number, end in enumerate(history, 1)}
    last = f"ended {record.end['status']}" if record.end else ""
    if record.end and record.end.get("reason"):
        last += f": {record.end['reason']}"
    known = {len(ends) + 1, *parts(file(path.parent, _id(path)))}
    ends |= dict.fromkeys(range(len(ends) + 1, max(known) + 1), "")
    ends[max(ends)] = last
    return _Past(ends, (record.end or {}).get("traceback", ""))


def _printed(path: Path, attempt: int, follow: bool) -> Iterator[str]:
    """The pieces of what an attempt printed, as they come where it is followed and still runs."""
    from harness.launch.log import file, parts

    log, whole = file(path.parent, _id(path)), path.with_name(f"{_id(path)}.jsonl")
    if not log.resolve().is_relative_to(path.parent.resolve()):
        raise UsageError(f"'{log}' leads out of '{path.parent}', and is not read. Remove that link.")
    told = 0
    while True:
        over = whole.exists()
        found = parts(log)
        text = found.get(attempt, "")
        yield text[told:]
        told = len(text)
        if over or not follow or max(found, default=1) > attempt:
            return
        time.sleep(POLL_S)


def _shown(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        print(piece, end="", flush=True)
        yield piece


def _one(text: str, states: list[State], results: Path) -> State:
    """The only trial of that id, beginning or name."""
    if not states:
        raise UsageError(f"There are no records in '{results}'. Run an ablation first: harness run FILE.")
    named = [state for state in states if text in _names(state)]
    found = named or [state for state in states if text and _id(state.path).startswith(text)]
    if not found:
        near = did_you_mean(text, [name for state in states for name in (_id(state.path), *_names(state))])
        raise UsageError(
            f"No trial is called '{text}' in '{results}'. {near}See the ids with: harness plan FILE --json."
        )
    if len(found) > 1:
        some = ", ".join(_name(state) for state in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UsageError(f"'{text}' are {len(found)} trials: {some}{more}. Give a longer id, or --of ABLATION.")
    return found[0]


def _names(state: State) -> tuple[str, ...]:
    """What people call a trial: as in the progress table, as in MLflow, and its labels joined by +."""
    from harness.launch.progress import label
    from harness.track.describe import run_name

    header: dict[str, Any] = {"ablation": state.ablation, "spec": state.spec}
    seed = state.spec.get("seed", 0)
    return label(header), run_name(header), "+".join([*map(str, state.ablation.get("arm", {}).values()), str(seed)])


def _name(state: State) -> str:
    return f"{state.path.parent.name}/{_id(state.path)} ({_names(state)[0]})"


def _id(path: Path) -> str:
    """The trial's id by the record's own name, since a header could name a place outside the folder."""
    return path.name.partition(".")[0]
