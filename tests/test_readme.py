"""The README's commands run as they stand, in a fresh clone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_every_command_of_the_readme_runs_in_a_fresh_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    (clone / "ablations" / "mine.toml").write_text(blocks("toml")[0])
    (clone / "chirp.py").write_text(blocks("python")[0])
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "VIRTUAL_ENV"))}
    environment = {**kept, "PATH": f"{clone / '.venv' / 'bin'}:{os.environ['PATH']}"}
    for block in blocks("bash"):
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{block}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    assert (clone / "reports" / "quickstart" / "report.html").exists()
    assert (clone / "reports" / "mine" / "report.md").exists()


def test_the_files_of_the_readme_plan(tmp_path: Path) -> None:
    from harness.ablation import read
    from harness.plan import plan

    question, arms, tune = blocks("toml")
    (tmp_path / "big.toml").write_text(question + arms.replace('"pathx"', '"delay"'))
    assert len(plan(read(tmp_path / "big.toml")).trials) == 6
    (tmp_path / "mine.toml").write_text(question + tune)
    search = plan(read(tmp_path / "mine.toml")).search
    assert search is not None and (len(search.arms), search.tune.trials, search.repeats) == (2, 16, 3)


def test_every_file_that_the_readme_links_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_part_that_the_readme_names_exists() -> None:
    from harness import bases, kernels, report, tasks

    assert all(
        hasattr(room, table)
        for room, table in [(bases, "BASES"), (kernels, "KERNELS"), (tasks, "TASKS"), (report, "SECTIONS")]
    )
