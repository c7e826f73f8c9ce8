"""The driver: every due trial of one or more ablations, once, whatever happens in between.

The records are the state, so going on is the same command again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from harness import records
from harness.launch import leavings, lock, machine
from harness.launch.executor import Opened
from harness.launch.options import Mirror, Options, Outcome, Sweep
from harness.launch.progress import Progress
from harness.launch.queue import Due, due
from harness.launch.rounds import labels, rounds, stages
from harness.launch.stop import GO, KILL, STOP, Stop, on_signals
from harness.launch.summary import Tally, print_summary
from harness.launch.terminal import captured

if TYPE_CHECKING:
    from harness.launch.search import Searching

TICK_S = 0.2
LAST_WAIT_S = 20.0
"""Time that the executor has to end after a second request to stop."""


def run(sweeps: Sequence[Sweep], options: Options) -> int:
    """Run what is due and return the exit code of `harness run`.

    0: every trial is `done`, `unsupported` or `stopped`; 1: some are not; 130: stopped before the end, by a signal
    or the deadline. Raises EnvironmentProblem when another driver has a folder, when no machine can hold a trial,
    or when Ray does not start.
    """
    if options.address is None:
        machine.refuse(sweeps, [machine.here()])
    with contextlib.ExitStack() as stack:
        for sweep in sweeps:
            stack.enter_context(lock.driver(sweep.folder, options.shard))
        searches = {sweep.name: _searching(sweep, options) for sweep in sweeps if sweep.search is not None}
        sweeps = [searches[sweep.name].sweep() if sweep.search is not None else sweep for sweep in sweeps]
        plans = [(sweep, due(sweep, options)) for sweep in sweeps]
        for sweep, plan in plans:
            for state in plan.skipped.values():
                # A kill may have come between its last row and this.
                leavings.clear(sweep.folder, state.trial_id, state.status)
        stop = Stop()
        listen = stack.enter_context(on_signals(stop))
        if options.mirror is not None:
            options.mirror.start()
            stack.callback(_drain, options.mirror, stop)
        outcomes: dict[str, Outcome] = {}
        if any(plan.tasks for _, plan in plans):
            with _terminal(sweeps, options) as out:
                _drive(plans, searches, options, stop, listen, Progress(out, options.quiet), outcomes)
        tallies = [_tally(sweep, plan, outcomes, searches.get(sweep.name)) for sweep, plan in plans]
        begun_anew = options.force and not any(task["fresh"] for _, plan in plans for task in plan.tasks)
        print_summary(tallies, stop.why if stop.level() else "", begun_anew, options.quiet)
    if all(tally.complete for tally in tallies):
        return 0
    return 130 if stop.level() else 1


def _drain(mirror: Mirror, stop: Stop) -> None:
    """Stop the mirror, which may wait for its store; a second request to stop does not."""
    draining = threading.Thread(target=mirror.stop, name="drain", daemon=True)
    draining.start()
    while draining.is_alive() and stop.level() != KILL:
        draining.join(TICK_S)


def _searching(sweep: Sweep, options: Options) -> Searching:
    from harness.launch.search import Searching

    return Searching(sweep, options)


def _terminal(sweeps: Sequence[Sweep], options: Options) -> contextlib.AbstractContextManager[TextIO]:
    if options.executor == "ray":
        return captured(sweeps[0].folder / "launch.log")
    return contextlib.nullcontext(sys.stdout)


def _drive(
    plans: Iterable[tuple[Sweep, Due]],
    searches: Mapping[str, Searching],
    options: Options,
    stop: Stop,
    listen: Callable[[], None],
    progress: Progress,
    outcomes: dict[str, Outcome],
) -> None:
    """Executors work in a thread of their own, so that signals, the deadline and the drawing stay with this one."""
    began = time.monotonic()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            waiting = [(sweep, plan) for sweep, plan in plans if plan.tasks]
            with _opener(options)(options, [sweep for sweep, _ in waiting]) as executor:
                if options.force:
                    _begin_anew(waiting, stop)
                for sweep, plan in waiting:
                    if stop.level() == GO:
                        search = searches.get(sweep.name)
                        unknown = search.unknown() if search else 0
                        progress.begin(sweep.name, sweep.folder, labels(plan.tasks), len(plan.skipped), unknown)
                        try:
                            if search is None:
                                rounds(executor, sweep, plan.tasks, stop, progress, outcomes)
                            else:
                                stages(executor, search, options, stop, progress, outcomes)
                        finally:
                            progress.end()
        except BaseException as caught:
            failure.append(caught)

    worker = threading.Thread(target=work, name="executor", daemon=True)
    worker.start()
    told, killed_at = GO, 0.0
    while worker.is_alive():
        worker.join(TICK_S)
        listen()
        progress.tick()
        if options.deadline_s is not None and time.monotonic() - began > options.deadline_s:
            stop.ask(STOP, "the deadline")
        if stop.level() != told:
            told, killed_at = stop.level(), time.monotonic()
            progress.say(
                f"Stopping ({stop.why}): running trials write a checkpoint and end. Ctrl-C again stops them at once."
                if told == STOP
                else "Stopping at once."
            )
        if told == KILL and time.monotonic() - killed_at > LAST_WAIT_S:
            os._exit(130)
    if failure:
        raise failure[0]


def _begin_anew(plans: Iterable[tuple[Sweep, Due]], stop: Stop) -> None:
    """Forget what `--force` is to make again, all of it before the first trial begins.

    After that the forced run is like any other: whatever cuts it, a trial that it has finished is not due again.
    Waits for a supervisor that still holds a trial.
    """
    for _, plan in plans:
        for task in plan.tasks:
            folder, trial_id = Path(task["folder"]), task["job"]["trial_id"]
            with lock.trial(folder, trial_id, give_up=stop.level) as held:
                if not held or stop.level() != GO:
                    return
                leavings.forget(folder, trial_id)
                task["fresh"] = False


def _opener(options: Options) -> Opened:
    if options.executor == "local":
        from harness.launch import pool

        return pool.opened
    with _loopback() if options.address is None else contextlib.nullcontext():
        from harness.launch import tune

    return tune.opened


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Let Ray, as it is imported, take this machine for all there is: its servers then listen on loopback alone.

    Ray reads the variable once, and a `ray start` that inherited it would join no cluster.
    """
    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    if name in os.environ:
        yield
        return
    os.environ[name] = "0"
    try:
        yield
    finally:
        del os.environ[name]


def _tally(sweep: Sweep, plan: Due, outcomes: dict[str, Outcome], search: Searching | None) -> Tally:
    """Where every trial of this run stands now, by its record; of a search also those that nobody knows yet."""
    states = records.scan(sweep.folder)
    if search is not None:
        sweep = search.sweep()
        plan = due(sweep, Options())
        search.mirror()
    tally = Tally(sweep.name, used_up=len(plan.used_up), note=search.problem if search else "")
    tuning = {job["trial_id"] for job in sweep.jobs if job["ablation"].get("tune", {}).get("stage") == "tuning"}
    for trial_id in (*plan.skipped, *plan.used_up):
        state = states.get(trial_id)
        status, reason = (state.status, state.reason) if state else ("waiting", "")
        tally.add(trial_id, status, reason, trial_id in tuning)
    if search is not None and (unknown := search.unknown()):
        tally.counts["waiting"] += unknown
    for task in plan.tasks:
        trial_id = task["job"]["trial_id"]
        state, outcome = states.get(trial_id), outcomes.get(trial_id)
        if state is None or (outcome is None and task["fresh"]):
            tally.add(trial_id, "waiting", outcome.reason if outcome else "")
        elif outcome is not None and state.path.suffix == ".partial":
            # The record could not be ended; only the supervisor knows why.
            tally.add(trial_id, state.status, outcome.reason)
        else:
            tally.add(trial_id, state.status, state.reason)
    return tally
