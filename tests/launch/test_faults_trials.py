"""Faults of a trial and of its files: the same command again ends every trial, as if nothing had been.

All of them in one sweep, beside trials that nothing happens to: what goes wrong with one must not touch another.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from launch_toy import HERE, described, job, options, sweep
from survival import cut, end, measured, start, survived, trial_runs

from harness import records
from harness.launch import leavings
from harness.launch.sweep import run
from harness.track import Mirror

pytestmark = pytest.mark.fault


def nothing(folder: Path, trial_id: str) -> None:
    pass


def cut_unfinished(share: float) -> Callable[[Path, str], None]:
    """As after a loss of power: what the file had not yet got is gone."""

    def do(folder: Path, trial_id: str) -> None:
        whole = folder / f"{trial_id}.jsonl"
        whole.with_suffix(".jsonl.partial").write_bytes(cut(whole, share))
        whole.unlink()

    return do


def cut_finished(share: float) -> Callable[[Path, str], None]:
    def do(folder: Path, trial_id: str) -> None:
        whole = folder / f"{trial_id}.jsonl"
        whole.write_bytes(cut(whole, share))

    return do


def spoil(how: Callable[[Path], bytes], count: int | None = 1) -> Callable[[Path, str], None]:
    """Change the newest checkpoints of a trial, or all of them. Under Ray there may be one more than locally."""

    def do(folder: Path, trial_id: str) -> None:
        kept = sorted(leavings.checkpoints(folder, trial_id).glob("*.pt"), reverse=True)
        assert len(kept) in (2, 3)
        for path in kept[:count]:
            path.write_bytes(how(path))

    return do


def torn(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


def flipped(path: Path) -> bytes:
    """One bit of the largest array changed."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = archive.read(max(archive.infolist(), key=lambda one: one.file_size))
    content[content.find(largest) + len(largest) // 2] ^= 1
    return bytes(content)


@dataclass(frozen=True)
class Case:
    """What goes wrong with a trial in the first run, what its record then says, and what is done to its files."""

    name: str
    fault: str
    said: str = ""
    between: Callable[[Path, str], None] = nothing
    status: str = "done"
    resumed: tuple[int | None, ...] = (None,)
    """The step that the last attempt goes on from; a second one where it needs the one more that Ray may have kept."""
    accumulate: int | None = None
    """Into how many parts the last attempt divides each batch."""


OWN = "ValueError: the trial's own mistake"
TRIALS = (
    Case("nothing", ""),
    Case("worker killed with -9", "killed", "killed by SIGKILL", resumed=(40,)),
    Case("trial raises", "raises", OWN, resumed=(40,)),
    Case("NaN loss", "nan", "nan at step", status="diverged"),
    Case("out of memory", "hogs", "of 2.00 GiB allowed", resumed=(40,), accumulate=2),
    Case("hangs", "hangs", "ran longer than", resumed=(40,)),
    Case("never reports", "mute", "ran longer than", resumed=(0,)),
    Case("leaves without a word", "leaves", "and no end row", resumed=(0,)),
)
FILES = (
    Case("unfinished record cut in half", "raises", OWN, cut_unfinished(0.5), resumed=(0, 10)),
    Case("unfinished record cut near its end", "raises", OWN, cut_unfinished(0.97), resumed=(40,)),
    Case("finished record cut in half", "", "", cut_finished(0.5), resumed=(0,)),
    Case("finished record cut in its header", "", "", cut_finished(0.01)),
    Case("torn checkpoint", "raises", OWN, spoil(torn), resumed=(30,)),
    Case("checkpoint with a flipped bit", "raises", OWN, spoil(flipped), resumed=(30,)),
    Case("empty checkpoint", "raises", OWN, spoil(lambda path: b""), resumed=(30,)),
    Case("every checkpoint empty", "raises", OWN, spoil(lambda path: b"", None), resumed=(0,)),
)
STUDY = """
question = "Which?"
expect = "None."
[fixed]
basis = "legs"
dt = {min = 0.125, max = 0.125}
model = {d_model = 4, d_state = 8, n_layers = 1}
training = {steps = 100, batch_size = 16, evaluations = 10}
[compare]
task = [
%s
]
[resources]
memory_gib = 2
timeout_minutes = 0.4
max_attempts = 3
"""
LEVEL = '  {name = "faulty", length = 64, lag = 16, evaluation_examples = 32, fault = "%s", at = 45, case = "%s"},'


def said(record: records.Record) -> str:
    """Every reason for which an attempt at the trial has ended."""
    past = [one["reason"] for row in record.rows if row["row"] == "attempt" for one in row["history"]]
    return "; ".join([*past, record.end["reason"] if record.end else ""])


def last(record: records.Record, what: str) -> int | None:
    """What the row of the last attempt says; None where it is the first."""
    attempts = [row for row in record.rows if row["row"] == "attempt"]
    return attempts[-1].get(what) if attempts else None


@pytest.mark.long
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_sweep_in_which_everything_goes_wrong_is_completed_by_the_same_command(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = (*TRIALS, *FILES)
    (tmp_path / "faults").mkdir()
    monkeypatch.setenv("HARNESS_FAULTS", str(tmp_path / "faults"))
    levels = (LEVEL % (case.fault, case.name) for case in cases)
    (tmp_path / "study.toml").write_text(STUDY % "\n".join(levels))
    command = ("run", "study.toml", "--plugin", str(HERE / "faulty.py"), "--executor", executor)
    folder, uri = tmp_path / "results" / "study", f"sqlite:///{tmp_path / 'results' / 'mlflow.db'}"

    code, _ = end(start(tmp_path, *command))
    first = {one.header["spec"]["task"]["case"]: one for one in map(records.read, folder.glob("*.jsonl"))}
    assert code == 1 and len(first) == len(cases)
    for case in cases:
        assert case.said in said(first[case.name]), case.name
        case.between(folder, first[case.name].trial_id)
    code, _ = end(start(tmp_path, *command))

    ids = {case.name: first[case.name].trial_id for case in cases}
    found = survived(folder, uri, ids.values(), {ids[case.name]: case.status for case in cases})
    assert code == 1, "one has diverged"
    plain = measured(found[ids["nothing"]])
    for case in cases:
        record = found[ids[case.name]]
        assert last(record, "resumed_step") in case.resumed, case.name
        assert last(record, "accumulate") == case.accumulate, case.name
        # A batch in parts has the same gradient but for rounding; test_launch_memory.py bounds that.
        assert case.status != "done" or case.accumulate or measured(record) == plain, case.name

    before = {path: path.read_bytes() for path in folder.glob("*.jsonl")}
    runs = trial_runs("study", uri)
    end(start(tmp_path, *command))
    assert {path: path.read_bytes() for path in folder.glob("*.jsonl")} == before
    assert trial_runs("study", uri) == runs


TOYS = {
    "killed": {"fault": "killed"},
    "raises": {"fault": "raises"},
    "nan": {"fault": "diverges"},
    "hangs": {"fault": "sleeps"},
    "mute": {"fault": "sleeps", "at": -1},
    "leaves": {"fault": "leaves", "at": -1},
}
"""Each fault of the plugin as one of the toys, which are started without torch and count instead of training."""
QUICK = [case for case in (*TRIALS, *FILES) if "checkpoint" not in case.name and case.fault != "hogs"]


def toy(seed: int, case: Case) -> dict[str, Any]:
    return described(job(seed, steps=4, once=True, **({"at": 2, **TOYS[case.fault]} if case.fault else {})))


def test_a_sweep_of_toys_in_which_everything_goes_wrong_is_completed_by_the_same_call(tmp_path: Path) -> None:
    folder, uri = tmp_path / "toy", f"sqlite:///{tmp_path / 'mlflow.db'}"
    jobs = {case.name: toy(seed, case) for seed, case in enumerate(QUICK)}
    ids = {name: one["trial_id"] for name, one in jobs.items()}

    def again(**limits: float) -> int:
        mirror = Mirror([folder], uri, interval_s=0.5)
        code = run([sweep(folder, *jobs.values(), max_attempts=3, **limits)], options(slots=4, mirror=mirror))
        assert mirror.message() == ""
        return code

    run([sweep(tmp_path / "warm", job(99))], options())
    assert again(timeout_s=2.0) == 1
    for case in QUICK:
        assert case.said in said(records.read(folder / f"{ids[case.name]}.jsonl"))
        case.between(folder, ids[case.name])
    assert again() == 1, "one has diverged"
    survived(folder, uri, ids.values(), {ids[case.name]: case.status for case in QUICK})
