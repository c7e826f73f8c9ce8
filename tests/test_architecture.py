"""The import rules of the house, as a table."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BASE = {"errors", "registry", "records", "environment", "randomness", "contrast", "labels", "platforms"}
TABLES = {"bases", "kernels", "ssm", "tasks", "training", "throughput"}
EVERY = {path.stem for path in (ROOT / "harness").iterdir() if not path.name.startswith("_")}

MAY = {
    "errors": (set(), set()),
    "registry": ({"errors"}, set()),
    "platforms": ({"errors"}, set()),
    "randomness": (set(), {"numpy"}),
    "records": ({"errors"}, set()),
    "labels": (set(), set()),
    "environment": ({"errors"}, {"torch"}),
    "contrast": ({"errors"}, set()),
    "ablation": ({"errors"}, {"pydantic", "pydantic_core"}),
    "spec": (set(), set()),
    "choices": ({"ablation", "errors", "registry", "spec"} | TABLES, {"pydantic"}),
    "levels": ({"ablation", "choices", "errors"}, set()),
    "presets": ({"errors"}, set()),
    "space": ({"ablation", "errors"}, set()),
    "tuning": ({"ablation", "errors", "space"}, set()),
    "search": ({"ablation", "errors", "levels", "registry", "space", "spec", "tasks", "tuning"}, set()),
    "plan": (
        {"ablation", "choices", "contrast", "errors", "levels", "presets"}
        | {"registry", "search", "spec", "training", "tuning"},
        set(),
    ),
    "bases": ({"registry", "errors"}, {"numpy", "scipy"}),
    "kernels": ({"registry", "errors"}, {"torch", "pykeops", "triton"}),
    "ssm": ({"bases", "kernels", "registry", "errors", "randomness", "tasks"}, {"torch", "numpy"}),
    "tasks": (
        {"bases", "registry", "errors", "platforms", "randomness"},
        {"torch", "numpy", "PIL", "pooch", "requests"},
    ),
    "training": ({"ssm", "kernels", "tasks", "errors", "platforms", "randomness", "registry"}, {"torch", "numpy"}),
    "throughput": (
        {"ssm", "kernels", "bases", "tasks", "training", "presets", "environment", "errors", "platforms", "registry"},
        {"torch", "numpy"},
    ),
    "trial": (BASE | TABLES, {"torch", "numpy"}),
    "track": (BASE, {"mlflow"}),
    "launch": (BASE | {"plan", "search", "space", "trial", "track"}, {"ray", "optuna", "psutil", "pyarrow", "rich"}),
    "cluster": ({"ablation", "errors"}, {"jinja2"}),
    "report": (BASE | {"bases", "spec"}, {"numpy", "pandas", "seaborn", "matplotlib", "scipy", "jinja2", "markupsafe"}),
    "cli": (EVERY, {"typer", "rich"}),
}
"""Room to (rooms it may import, third-party packages it may import). `ssm` reads only the contract of tasks."""

HEAVY = ("torch", "ray", "mlflow", "pandas", "matplotlib", "optuna")


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.update({node.module} if node.module != "harness" else {f"harness.{a.name}" for a in node.names})
    return found


def _files(room: str) -> list[Path]:
    folder = ROOT / "harness" / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def test_every_room_has_a_rule() -> None:
    assert set(MAY) == EVERY


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_what_the_table_allows(room: str) -> None:
    rooms, packages = MAY[room]
    for path in _files(room):
        for name in _imports(path):
            head, _, rest = name.partition(".")
            if head == "harness":
                other = rest.partition(".")[0]
                assert other == room or other in rooms or other == "__version__", f"{path.name} imports {name}"
            elif head not in sys.stdlib_module_names:
                assert head in packages, f"{path.name} imports {name}"


@pytest.mark.parametrize(
    ("package", "home"),
    [("ray", "launch"), ("optuna", "launch"), ("mlflow", "track"), ("pykeops", "kernels"), ("pydantic", "")],
)
def test_a_guarded_package_has_one_home(package: str, home: str) -> None:
    homes = {home} if home else {"ablation", "choices"}
    for room in EVERY - homes:
        for path in _files(room):
            assert not any(name.partition(".")[0] == package for name in _imports(path)), path


@pytest.mark.parametrize("command", [["--help"], ["list"], ["plan", "ablations/quickstart-delay.toml"]])
def test_quick_commands_import_nothing_heavy(command: list[str]) -> None:
    script = (
        "import sys; from harness.cli import app\n"
        f"try: app({command!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "HEAVY []" in ran.stdout
