"""Nothing that a file says is run, leaves its folder, or is written through a link. What listens: test_listening.py."""

from __future__ import annotations

import ast
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import records, registry
from harness.ablation import read
from harness.bases import BASES
from harness.errors import HarnessError, UsageError
from harness.plan import plan
from harness.tasks import TASKS

PACKAGE = Path(__file__).resolve().parent.parent / "harness"
FILE = """
question = "Which?"
expect = "This."
[fixed]
task = {name = "delay", length = 32, lag = 8}
[compare]
basis = ["legs", "legt"]
"""
RUNS_CODE = {"eval", "exec", "__import__", "exec_module", "import_module", "system", "popen", "extractall"}
"""Functions, of whatever module, that run what they are given or write where it says."""
READS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
"""Modules whose files may hold code."""
MUST = {
    ("torch", "load"): ("weights_only", True),
    ("np", "load"): ("allow_pickle", False),
    ("numpy", "load"): ("allow_pickle", False),
}
"""Functions that read code unless they are told not to."""
ALLOWED = {
    ("tasks/pickled.py", "pickle"): "CIFAR-10's own batches; every name in them but NumPy's four is refused",
    ("registry.py", "import_module"): "the harness's own tables, and --plugin MODULE",
    ("registry.py", "exec_module"): "--plugin FILE",
    ("launch/child.py", "import_module"): "the driver's runner, which no file names",
    ("throughput/plugged.py", "import_module"): "classes that --plugin has put into the tables",
    ("kernels/s4_cuda.py", "import_module"): "a constant of that file",
    ("kernels/s4_cuda_sums.py", "import_module"): "the same constant",
}


def dangers(source: str) -> Iterator[str]:
    """What in a module's source could run code that a file holds."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from {name.partition(".")[0] for name in named} & READS_CODE
        if not isinstance(node, ast.Call):
            continue
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {one.arg: getattr(one.value, "value", None) for one in node.keywords}
        # `model.eval()` is torch's, which evaluates no text.
        if name in RUNS_CODE and (owner is None or name != "eval"):
            yield name
        if name in ("read_pickle", "to_pickle"):
            yield name
        if given.get("shell"):
            yield "shell"
        key, wanted = MUST.get((getattr(owner, "id", ""), name), ("", None))
        if key and given.get(key) is not wanted:
            yield f"{name} without {key}"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "pd.read_pickle(path)",
        "archive.extractall(folder)",
    ],
)
def test_the_scan_sees(source: str) -> None:
    assert list(dangers(source))


def test_no_module_can_run_what_a_file_holds() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), danger)
        for path in PACKAGE.rglob("*.py")
        for danger in dangers(path.read_text(encoding="utf-8"))
    }
    assert found == set(ALLOWED)


class Trap:
    """A pickle of it makes a file when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_in_the_place_of_a_checkpoint_is_not_run(protocol: int, tmp_path: Path) -> None:
    from harness.training import checkpoint

    (tmp_path / "00000003.pt").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol))
    assert checkpoint.find(tmp_path, 3, {}).content is None
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [{}, {"origin": None}, [], 3])
def test_a_checkpoint_that_says_nothing_of_its_origin_is_passed_over(content: Any, tmp_path: Path) -> None:
    import torch

    from harness.training import checkpoint

    torch.save(content, tmp_path / "00000003.pt")
    found = checkpoint.find(tmp_path, 3, {"data": "a"})
    assert found.content is None and "cannot be read" in found.notes[0]


def test_objects_in_the_place_of_cached_arrays_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.tasks.cache import cached

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    cached("entry", lambda: {"x": np.arange(3)})
    np.save(tmp_path / "cache" / "entry" / "x.npy", np.array([Trap(tmp_path / "sprung")] * 3), allow_pickle=True)
    assert cached("entry", lambda: {"x": np.arange(3)})["x"].tolist() == [0, 1, 2]
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_objects_in_a_user_s_arrays_are_not_run(ending: str, tmp_path: Path) -> None:
    from harness.tasks.array_file import _loaded

    trap = np.array([Trap(tmp_path / "sprung")])
    (tmp_path / "own").mkdir()
    np.savez(tmp_path / "own.npz", allow_pickle=True, x_train=trap)
    np.save(tmp_path / "own" / "x_train.npy", trap, allow_pickle=True)
    with pytest.raises(UsageError, match="cannot be read"):
        _loaded(tmp_path / ("own.npz" if ending == ".npz" else "own"), ["x_train"])
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "stem", ["-x", ".x", "a b", "a\nb", "a\x1b[2J", "а", "ａ", "a\u202eb", "a" * 101, "~", "$HOME"]
)
def test_a_file_name_that_is_no_folder_name_is_refused(stem: str, tmp_path: Path) -> None:
    path = tmp_path / f"{stem}.toml"
    path.write_text(FILE)
    with pytest.raises(UsageError, match="names a results folder") as caught:
        read(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("character", ["\\u0000", "\\u001b", "\\u0007", "\\u009b", "\\r"])
@pytest.mark.parametrize("change", ['"Which?"', '"delay"', '"legt"'])
def test_a_control_character_is_refused_and_shown_harmless(character: str, change: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(FILE.replace(change, f'{change[:-1]}{character}"'))
    with pytest.raises(UsageError, match="control character") as caught:
        read(path)
    assert str(caught.value).isprintable()


HOSTILE = ["../../outside", "/etc/passwd", "os:system", "harness.cli:main", "legs\n", "ｌｅｇｓ", "x" * 10_000]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("axis", ['"delay"', '"legt"'])
def test_a_name_that_no_table_has_is_only_a_wrong_name(axis: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(FILE.replace(axis, json.dumps(name)))
    with pytest.raises(UsageError, match="Unknown"):
        plan(read(path))


@pytest.mark.parametrize("label", ["../../outside", "/etc/passwd", "a\nb", "\u202etxt", "x" * 10_000])
def test_labels_and_texts_are_free_and_name_no_path(label: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    given = f'basis = ["legs", {{name = "legt", label = {json.dumps(label)}}}]\n'
    path.write_text(FILE.replace('basis = ["legs", "legt"]', given).replace("Which?", "../../../etc/passwd"))
    jobs = list(plan(read(path)).jobs())
    assert {job["ablation"]["arm"]["basis"] for job in jobs} == {"legs", label}
    assert all(len(job["trial_id"]) == 12 and job["trial_id"].isalnum() for job in jobs)


@pytest.mark.parametrize("part", ["os:system", "harness.cli:main", "../own.py"])
def test_a_record_s_choice_is_looked_up_and_never_imported(part: str) -> None:
    for kind, table in (("basis", BASES), ("task", TASKS)):
        with pytest.raises(UsageError, match="Unknown"):
            registry.build(kind, table, {"name": part})


def header(**given: Any) -> dict[str, Any]:
    row = {"row": "header", "schema": 1, "trial_id": "0123456789ab", "created": 1.0, "spec": {}, "data": {}}
    return {**row, "ablation": {"name": "study", "arm": {}}, **given}


def wrong_headers() -> dict[str, Any]:
    ids = ("../../outside", "/etc/passwd", "a\x00b", "", None, 3, ["x"])
    rows = {"a list": [1], "a number": 7, "nothing": None, "no row": {}, "no header": {"row": "end"}}
    return {**{f"id {one!r}": header(trial_id=one) for one in ids}, **rows, "a spec of text": header(spec="x")}


@pytest.mark.parametrize("name", wrong_headers())
def test_a_record_with_the_header_of_no_trial_is_no_record(name: str, tmp_path: Path) -> None:
    from harness.track.snapshot import take

    path = tmp_path / "study" / "0123456789ab.jsonl"
    path.parent.mkdir()
    path.write_text(
        f"{json.dumps(wrong_headers()[name])}\n{json.dumps({'row': 'end', 'status': 'done', 'time': 1.0})}\n"
    )
    assert records.scan(path.parent) == {}
    assert take(path) is None
    with pytest.raises(UsageError, match="is not a trial record"):
        records.read(path)


@pytest.mark.parametrize(
    "line", ["[1]", "7", "null", "{}", '"x"', '{"row": "end"}', '{"row": "end", "status": "good"}']
)
def test_an_end_that_is_none_leaves_a_trial_unfinished(line: str, tmp_path: Path) -> None:
    (tmp_path / "0123456789ab.jsonl").write_text(f"{json.dumps(header())}\n{line}\n")
    assert records.scan(tmp_path)["0123456789ab"].status == "interrupted"


@pytest.mark.parametrize("name", ["..", "../..", "", "../outside", "/etc"])
def test_a_results_folder_is_named_and_not_reached(name: str, tmp_path: Path) -> None:
    from harness.cli.options import folders

    (tmp_path / "outside").mkdir()
    (tmp_path / "results").mkdir()
    with pytest.raises(UsageError, match="There are no records"):
        folders([name], tmp_path / "results")


def record(folder: Path) -> None:
    records.Writer(folder, "0123456789ab").close()


def note(folder: Path) -> None:
    from harness.cli.status import remember

    path = folder / "study.toml"
    path.write_text(FILE)
    remember(folder, plan(read(path)))


def lock_folder(folder: Path) -> None:
    from harness.launch import lock

    with lock.driver(folder):
        pass


def lock_trial(folder: Path) -> None:
    from harness.launch import lock

    with lock.trial(folder, "0123456789ab", give_up=lambda: True):
        pass


def catch(folder: Path) -> None:
    from harness.launch.terminal import captured

    with captured(folder / "launch.log"):
        os.write(1, b"a library's words\n")


WRITTEN: dict[str, Callable[[Path], None]] = {
    "0123456789ab.jsonl": record,
    "0123456789ab.jsonl.partial": record,
    "0123456789ab.jsonl.rewrite": record,
    ".plan.json": note,
    ".lock": lock_folder,
    ".lock-0123456789ab": lock_trial,
    "launch.log": catch,
}
"""What a run writes beside the records, and who writes it."""


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_is_written_through_a_link_in_a_results_folder(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "results" / "study"
    folder.mkdir(parents=True)
    (folder / name).symlink_to(outside)
    try:
        WRITTEN[name](folder)
    except (OSError, HarnessError) as refused:
        assert name in str(refused)
    assert outside.read_text() == "precious"


def test_a_plugin_that_only_a_record_or_a_file_names_is_not_loaded(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    (tmp_path / "results" / "study").mkdir(parents=True)
    row = header(plugins=[str(own), "harness_plugin_own"], spec={"basis": {"name": "own"}})
    (tmp_path / "results" / "study" / "0123456789ab.jsonl").write_text(json.dumps(row) + "\n")
    path = tmp_path / "study.toml"
    path.write_text(f"plugins = [{str(own)!r}]\n{FILE}")
    with pytest.raises(UsageError, match="unknown key 'plugins'"):
        read(path)
    assert records.read(tmp_path / "results" / "study" / "0123456789ab.jsonl").header["plugins"][0] == str(own)
    assert not (tmp_path / "sprung").exists()
    registry.load_plugin(str(own))
    assert (tmp_path / "sprung").exists()
    del sys.modules[f"{registry.PLUGIN_PREFIX}own"]
