"""`harness cluster`: a launch file of a sweep for SLURM, Kubernetes or Docker, printed or written, never started."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Only, Plugins, Results, Set, Smoke, load_plugins, plans, seconds
from harness.errors import EnvironmentProblem, UsageError

if TYPE_CHECKING:
    from harness.ablation import Ablation
    from harness.cluster.command import Command

app = typer.Typer(help="Print a launch file of a sweep for a cluster.", no_args_is_help=True, rich_markup_mode=None)

File = Annotated[Path, typer.Argument(help="Ablation file (.toml).", show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", help="File to write to; default: print it.")]
Cpus = Annotated[int | None, typer.Option("--cpus", min=1, help="Processors of a node; default: from [resources].")]
Gpus = Annotated[int | None, typer.Option("--gpus", min=0, help="GPUs of a node; default: from [resources].")]
Memory = Annotated[float | None, typer.Option("--memory", min=0.1, help="GiB of a node; default: from [resources].")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Nodes that run trials.")]
Storage = Annotated[str | None, typer.Option("--storage", help="Where checkpoints go: a folder or URI all nodes see.")]
DataRoot = Annotated[str | None, typer.Option("--data-root", help="Folder of the data sets on the nodes.")]
TrackingUri = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow server that the driver reaches.")]


@app.command("slurm")
def slurm(
    file: File,
    nodes: Nodes = 1,
    array: Annotated[int | None, typer.Option("--array", min=1, help="Tasks of a job array, without Ray.")] = None,
    at_once: Annotated[int | None, typer.Option("--at-once", min=1, help="Tasks of the array at one time.")] = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: Memory = None,
    time: Annotated[
        str, typer.Option("--time", metavar="24h", help="Time of the job, after which it goes on.")
    ] = "24h",
    partition: Annotated[str | None, typer.Option("--partition")] = None,
    account: Annotated[str | None, typer.Option("--account")] = None,
    sbatch: Annotated[list[str], typer.Option("--sbatch", metavar="--qos=high", help="Another sbatch option.")] = [],  # noqa: B006
    port: Annotated[
        int | None, typer.Option("--port", min=1024, max=65535, help="Of Ray's head; default: from the job's number.")
    ] = None,
    binaries: Annotated[
        Path | None, typer.Option("--bin", help="Folder of harness and ray on the nodes; default: this Python's.")
    ] = None,
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    plugins: Plugins = [],  # noqa: B006
    storage: Storage = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    tracking_uri: TrackingUri = None,
    out: Out = None,
) -> None:
    """An sbatch script: Ray over the nodes of a job, or with --array a job array of shards without Ray."""
    from harness.cluster import slurm
    from harness.cluster import words as w
    from harness.cluster.node import node

    ablation = _checked(file, settings, filters, smoke, plugins)
    if array and (nodes > 1 or port or storage):
        raise UsageError("--array is without Ray: leave --nodes, --port and --storage out.")
    if at_once and not array:
        raise UsageError("--at-once is for a job array; give --array too.")
    job = slurm.Job(
        name=w.word("The file's name", ablation.name),
        node=node(ablation.resources, cpus, gpus, memory),
        time=w.clock(seconds(time)),
        binaries=str(binaries or Path(sys.executable).parent),
        exclusive=ablation.kind == "throughput",
        partition=w.word("--partition", partition) if partition else None,
        account=w.word("--account", account) if account else None,
        extra=[w.sbatch("--sbatch", one) for one in sbatch],
    )
    # The nodes of a job share the folder that the records are in.
    storage = storage or (str(results) if nodes > 1 else None)
    command = _command(file, results, settings, filters, smoke, plugins, data_root, tracking_uri, storage)
    text = slurm.array(job, command, array, at_once) if array else slurm.ray(job, command, nodes, port)
    _hand_over(text, out, "submit it with: sbatch {}")


@app.command("kuberay")
def kuberay(
    file: File,
    image: Annotated[str, typer.Option("--image", help="Image with the harness; see `harness cluster docker`.")],
    claim: Annotated[
        str, typer.Option("--claim", help="PersistentVolumeClaim that all pods mount (ReadWriteMany), at /shared.")
    ],
    namespace: Annotated[str | None, typer.Option("--namespace")] = None,
    secret: Annotated[
        str | None, typer.Option("--secret", help="Secret whose keys become variables, for MLflow's credentials.")
    ] = None,
    nodes: Nodes = 1,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: Memory = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="24h", help="Time after which Kubernetes ends it.")
    ] = None,
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    plugins: Plugins = [],  # noqa: B006
    storage: Storage = None,
    data_root: DataRoot = None,
    tracking_uri: TrackingUri = None,
    out: Out = None,
) -> None:
    """A RayJob manifest with the question file in it."""
    from harness.cluster import kuberay
    from harness.cluster import words as w
    from harness.cluster.node import node

    ablation = _checked(file, settings, filters, smoke, plugins)
    own = [Path(plugin) for plugin in plugins if plugin.endswith(".py")]
    cluster = kuberay.Cluster(
        name=w.word("The file's name", ablation.name),
        node=node(ablation.resources, cpus, gpus, memory),
        workers=nodes,
        image=str(w.word("--image", image)),
        claim=str(w.word("--claim", claim)),
        ray_version=_ray_version(),
        namespace=str(w.word("--namespace", namespace)) if namespace else None,
        secret=str(w.word("--secret", secret)) if secret else None,
        time_s=int(seconds(time)) if time else None,
    )
    inside = [f"{kuberay.SWEEP}/{Path(one).name}" if one.endswith(".py") else one for one in plugins]
    there = Path(kuberay.SWEEP, file.name)
    results = Path(kuberay.SHARED, "results")
    # No trial runs beside the driver, on the head.
    storage = storage or str(results)
    command = _command(there, results, settings, filters, smoke, inside, data_root, tracking_uri, storage)
    files: dict[str, str] = {
        w.word("A file's name", path.name): path.read_text(encoding="utf-8") for path in (file, *own)
    }
    _hand_over(kuberay.rayjob(cluster, command, files), out, "submit it with: kubectl apply -f {}")


@app.command("docker")
def docker(
    file: File,
    base: Annotated[
        str, typer.Option("--base", help="Image to build on, Debian with Python.")
    ] = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim-bookworm",
    settings: Set = [],  # noqa: B006
    filters: Only = [],  # noqa: B006
    smoke: Smoke = False,
    plugins: Plugins = [],  # noqa: B006
    data_root: DataRoot = None,
    tracking_uri: TrackingUri = None,
    out: Out = None,
) -> None:
    """A Dockerfile of this checkout, whose containers run the sweep."""
    from harness.cluster import docker
    from harness.cluster import words as w

    _checked(file, settings, filters, smoke, plugins)
    for path in (file, *(Path(plugin) for plugin in plugins if plugin.endswith(".py"))):
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(f"'{path}' is outside the folder that the image copies; name it from the checkout.")
    command = _command(file, Path("results"), settings, filters, smoke, plugins, data_root, tracking_uri, None)
    text = docker.dockerfile(w.word("--base", base), w.Word(_ray_version()), command)
    _hand_over(text, out, "build it with: docker build --file {} .")


def _checked(file: Path, settings: list[str], filters: list[str], smoke: bool, plugins: list[str]) -> Ablation:
    """The ablation, which `harness plan` would take; its mistakes are told here and not on the cluster."""
    load_plugins(plugins)
    [planned] = plans([file], settings, filters, smoke)
    return planned.ablation


def _command(
    file: Path,
    results: Path,
    settings: list[str],
    filters: list[str],
    smoke: bool,
    plugins: list[str],
    data_root: str | None,
    tracking_uri: str | None,
    storage: str | None,
) -> Command:
    from harness.cluster.command import Command

    return Command(str(file), str(results), settings, filters, smoke, plugins, data_root, tracking_uri, storage)


def _ray_version() -> str:
    from harness.environment import versions

    found = versions().get("ray")
    if found is None:
        raise EnvironmentProblem("Ray is not installed here, and the file must name its version. Install ray[tune].")
    return found


def _hand_over(text: str, out: Path | None, then: str) -> None:
    if out is None:
        print(text, end="")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {then.format(shlex.quote(str(out)))}")
