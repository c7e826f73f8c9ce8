"""One trial: `run(job, emit) -> status`. It does not know who listens, and whatever happens becomes an end row.

The same call under Ray, in a plain process and in a test. results/README.md has the rows, field by field.
"""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from harness import __version__, environment, labels
from harness.bases import BASES
from harness.errors import Diverged, HarnessError, Interrupted, Unsupported, no_space
from harness.kernels import KERNELS
from harness.randomness import stream
from harness.records import SCHEMA
from harness.registry import Table, build
from harness.ssm import MODELS, TIMESCALES
from harness.ssm.model import Model
from harness.tasks import TASKS, progress
from harness.throughput import TIMERS
from harness.training import TRAININGS, checkpoint, machine
from harness.training.accumulate import after
from harness.training.compiling import compile_blocks
from harness.training.journal import Emit, Journal
from harness.training.loop import Training
from harness.training.portrait import portray

Job = Mapping[str, Any]
TABLES: dict[str, Table] = {
    "task": TASKS,
    "basis": BASES,
    "dt": TIMESCALES,
    "model": MODELS,
    "backend": KERNELS,
    "training": TRAININGS,
    "timer": TIMERS,
}
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""How torch and the system put it in the text of a RuntimeError."""


def never() -> bool:
    """The `stop` of a trial that nobody will ask to stop."""
    return False


def polled(stop: Callable[[], bool]) -> None:
    """Ask `stop`, only to show that the trial goes on."""
    stop()


@dataclass(frozen=True)
class Call:
    """What `run` was called with."""

    job: Job
    journal: Journal
    device: dict[str, Any]
    data_root: Path | None
    checkpoints: Path | None
    kept_rows: int
    history: list[dict[str, str]]
    stop: Callable[[], bool]


def run(
    job: Job,
    emit: Emit,
    *,
    data_root: Path | None = None,
    checkpoints: Path | None = None,
    kept_rows: int = 0,
    attempt: int = 1,
    history: Sequence[Mapping[str, str]] = (),
    stop: Callable[[], bool] = never,
    threads: int | None = None,
) -> str:
    """Run a job, emit its rows (the header first, the end last), and return its status.

    `checkpoints` is this trial's own folder; without it a stopped trial starts afresh. `kept_rows` is how many rows
    the record holds from earlier attempts: the newest checkpoint that they reach is resumed, after a `resume` row which
    tells the writer how many of them to keep. `stop` is polled; once true, the trial writes a checkpoint and ends
    `interrupted`; it is polled before each step and batch, so that it also tells the caller that the trial goes on. The
    checkpoints of a trial that is over are the writer's to remove, once its record is whole.
    Raises nothing but what `emit` raises.
    """
    began = time.monotonic()
    journal = Journal(emit, attempt)
    trace = ""
    spec = job["spec"]
    timing = spec["kind"] == "throughput"
    threads = spec["timer"]["threads"] if timing else threads or torch.get_num_threads()
    with machine.prepared(threads, training=not timing) as device:
        past = [dict(one) for one in history]
        call = Call(job, journal, device, data_root, checkpoints, kept_rows, past, stop)
        try:
            # Preparing data may take long too, and is told of item by item.
            with progress.listening(lambda *_: polled(stop)):
                (_time if timing else _train)(call)
            status, reason = "done", ""
        except (Exception, KeyboardInterrupt) as problem:
            status, reason = _ending(problem)
            if status == "error" and not isinstance(problem, HarnessError):
                trace = traceback.format_exc()
    end = {"row": "end", "status": status, "reason": reason, "seconds": time.monotonic() - began}
    end |= {"peak_memory_bytes": machine.peak_memory_bytes()} | ({"traceback": trace} if trace else {})
    journal.row(end)
    return status


def _train(call: Call) -> None:
    header = _header(call)
    try:
        parts = _build(call.job["spec"], ("task", "basis", "dt", "model", "backend", "training"), header)
        task, basis, timescale, config, backend, recipe = parts
        header["labels"] = [label for part in (timescale, config, recipe) for label in getattr(part, "labels", ())]
        header["labels"] += labels.of_parts_together(call.job["spec"])
        header["task"] |= {"title": task.title, "suite": task.suite}
        header["task"] |= {"primary": task.primary, "higher_is_better": task.higher_is_better}
        provenance = task.provenance(call.data_root)
        header["data"] = {**vars(provenance), "labels": list(provenance.labels)}
        batch = call.job["spec"]["training"]["batch_size"]
        request = config.request(basis, task.max_length, call.device["kind"], batch)
        if not (reasons := backend.unsupported(request)):
            header["backend"] = backend.resolve(request)
            # Chosen once, at the task's longest: a batch of short sequences is applied like every other.
            header["application"] = backend.application(request)
            parts[3] = dataclasses.replace(config, application=header["application"])
    except (Exception, KeyboardInterrupt):
        # Whatever is missing may be back tomorrow: the rows that a checkpoint continues are not given up for it.
        _begin(call, header, keep=call.kept_rows)
        raise
    origin = {"data": provenance.fingerprint, "backend": header["backend"], "device": call.device["kind"]}
    origin |= {"application": header["application"], "harness version": __version__}
    found = checkpoint.find(call.checkpoints, call.kept_rows, origin)
    parts[5] = after(recipe, call.history, getattr(config, "norm", None) == "batch")
    how = {} if parts[5] is recipe else {"accumulate": parts[5].accumulate}
    _begin(call, header, found.rows, found.content["progress"]["step"] if found.content else 0, found.notes, how)
    if reasons:
        raise Unsupported(reasons)
    _learn(call, parts, origin, found.content)


def _learn(call: Call, parts: Sequence[Any], origin: dict[str, str], content: checkpoint.Content | None) -> None:
    task, basis, timescale, config, backend, recipe = parts
    journal, place, seed = call.journal, torch.device(call.device["kind"]), call.job["spec"]["seed"]
    model = Model(config, basis, timescale, backend, task.inputs, task.outputs, task.per_step, seed).to(place)
    if recipe.compile:
        compile_blocks(model, place.type)
    data = task.open(call.data_root, stream(seed, "data"))
    data.to(place)
    torch.manual_seed(stream(seed, "dropout"))
    order = stream(seed, "order")
    training = Training(recipe, task, data, model, place, order, journal, call.stop, call.checkpoints, origin)
    if content is not None:
        training.restore(content)
    else:
        parameters = sum(parameter.numel() for parameter in model.parameters())
        journal.metric("parameters", parameters, step=0, split="run")
        for name, value in data.references().items():
            journal.metric(name, value, step=0, split="reference")
        started = time.perf_counter()
        portray(model, task.max_length, journal, split="init", step=0)
        # The first kernel of a backend may compile it, which belongs to the first step's time.
        training.progress.first_step_s = time.perf_counter() - started
    training.run()
    training.test()
    portray(model, task.max_length, journal, split="final", step=training.progress.best_step)
    if place.type == "cuda":
        peak = torch.cuda.max_memory_allocated()
        journal.metric("gpu_peak_memory_bytes", peak, step=recipe.steps, split="run", unit="B")


def _time(call: Call) -> None:
    from harness.throughput import timer
    from harness.throughput.fingerprint import fingerprint

    header = _header(call)
    header["data"] |= {"fingerprint": fingerprint(call.device["threads"])}
    header["data"] |= {"kind": "generated", "source": "random state spaces"}
    try:
        _build(call.job["spec"], ("timer", "basis", "dt"), header)
    finally:
        _begin(call, header)
    timer.measure(call.job, call.journal.row, call.device["kind"])


def _begin(
    call: Call,
    header: dict[str, Any],
    keep: int = 0,
    step: int = 0,
    notes: Sequence[str] = (),
    how: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Emit what an attempt begins with: how many earlier rows stay, the header where none do, and the past.

    `how` is what this attempt does otherwise than the spec says, without another result.
    """
    call.journal.keep(keep)
    if not keep:
        checkpoint.clear(call.checkpoints)
        call.journal.row(header)
    if keep or call.journal.attempt > 1:
        row = {"row": "attempt", "resumed_step": step, "history": call.history, **how}
        call.journal.row(row | ({"note": " ".join(notes)} if notes else {}))


def _header(call: Call) -> dict[str, Any]:
    """The header as far as the job alone tells it."""
    job, spec = call.job, call.job["spec"]
    made = {**environment.describe(call.device["threads"]), "plugins": []}
    made["device"] = {**made["device"], **call.device}
    head = {"row": "header", "schema": SCHEMA, "trial_id": job["trial_id"], "created": time.time()}
    head |= {"harness": __version__, "spec": dict(spec), "ablation": dict(job["ablation"])}
    head["data"] = {"fingerprint": "", "kind": "", "source": "", "labels": []}
    if spec["kind"] == "train":
        head |= {"task": {"name": spec["task"]["name"]}, "backend": spec["backend"]["name"]}
        head |= {"application": None, "labels": []}
    return head | made


def _build(spec: Mapping[str, Any], parts: Sequence[str], header: dict[str, Any]) -> list[Any]:
    """The components that the spec names; the header learns which modules outside the harness they came from."""
    built = [build("timescale" if part == "dt" else part, TABLES[part], spec[part]) for part in parts]
    modules = {type(component).__module__ for component in built}
    header["plugins"] = sorted(name for name in modules if not name.startswith("harness."))
    return built


def _ending(problem: BaseException) -> tuple[str, str]:
    """The status and the reason that an exception ends a trial with."""
    text = str(problem)
    if full := no_space(problem):
        return "interrupted", full
    if isinstance(problem, MemoryError | torch.OutOfMemoryError) or (
        isinstance(problem, RuntimeError) and any(sign in text.lower() for sign in OUT_OF_MEMORY)
    ):
        first = text.partition("\n")[0] or type(problem).__name__
        return "out_of_memory", f"Memory ran out: {first.rstrip('.')}. Lower training.batch_size or the model's size."
    if isinstance(problem, KeyboardInterrupt):
        return "interrupted", "Interrupted from the keyboard; the last checkpoint stands."
    statuses = {Unsupported: "unsupported", Diverged: "diverged", Interrupted: "interrupted"}
    if isinstance(problem, HarnessError):
        return statuses.get(type(problem), "error"), text
    return "error", f"{type(problem).__name__}: {text}"
