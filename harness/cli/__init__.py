"""The command line: `harness` and `python -m harness`. Commands import what they need when they run."""

from __future__ import annotations

import sys

import typer

from harness import platforms
from harness.cli import cluster, data, doctor, exchange, listing, logs, planning, reporting, running, single, status
from harness.errors import HarnessError

app = typer.Typer(
    name="harness",
    help="Which HiPPO initialisation, which timescale range, which kernel: ablations of state space models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("plan")(planning.plan)
app.command("run")(running.run)
app.command("status")(status.status)
app.command("logs")(logs.logs)
app.command("trial")(single.trial)
app.command("report")(reporting.report)
app.command("ui")(exchange.ui)
app.command("list")(listing.listing)
app.add_typer(data.app, name="data")
app.command("doctor")(doctor.doctor)
app.command("retry")(running.retry)
app.command("pull")(exchange.pull)
app.command("push")(exchange.push)
app.add_typer(cluster.app, name="cluster")


def main() -> None:
    """Run a command; an error of the user's is one sentence and its exit code, never a traceback."""
    try:
        platforms.refuse_windows()
        app()
    except HarnessError as problem:
        print(f"harness: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except OSError as problem:
        where = f" '{problem.filename}'" if problem.filename else ""
        print(f"harness: {problem.strerror}:{where}. Check the path, its permissions and free space.", file=sys.stderr)
        sys.exit(3)
