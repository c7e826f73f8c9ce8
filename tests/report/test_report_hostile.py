"""A whole report from hostile records: no script, no link out of it, no file out of its folder, no plugin loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_builder import DELAY, header, metric, stub, trial, write

from harness.report.build import report

SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    f'{SCRIPT}--><img src=x onerror=alert(1)>"\' onload="alert(1) ](javascript:alert(1)) $\\input{{/etc/passwd}}$ | `'
)


class Page(HTMLParser):
    """The tags of a page, and every attribute of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    own = folder / "own.py"
    own.write_text(f"open({str(folder / 'sprung')!r}, 'w')\n")
    out = folder / "reports" / "study"
    out.mkdir(parents=True)
    for name in ("report.md", "report.html"):
        (out / name).symlink_to(folder / f"outside-{name}")
        (folder / f"outside-{name}").write_text("precious")
    levels = {"basis": [HOSTILE, "../../outside"], "dt": ["0.001..0.1"]}
    about = {"question": HOSTILE, "expect": HOSTILE, "text": f"{HOSTILE}\n```\n</pre>{SCRIPT}", "labels": [HOSTILE]}
    for name in ("../../study", f"study{SCRIPT}", "study" + "x" * 95):
        for number, label in enumerate(levels["basis"]):
            arm = {"basis": label, "dt": "0.001..0.1"}
            task = DELAY | {"title": HOSTILE}
            common = {"name": name, "arm": arm, "levels": levels, "task": task, **about}
            for seed in range(2):
                trial(folder / "results", 0.1 + 0.1 * number + 0.01 * seed, seed=seed, **common)
            stub(folder / "results", "error", HOSTILE, seed=2, **common)
    head = header(f"study{SCRIPT}", arm, levels=levels, task=task, seed=3, **about)
    head |= {"plugins": [str(own), "own", HOSTILE], "git": {"commit": HOSTILE, "dirty": False}}
    head |= {"versions": {HOSTILE: HOSTILE}, "device": {"kind": "cpu", "name": HOSTILE}}
    write(folder / "results", [head, metric(HOSTILE, 1.0, 1, "run", HOSTILE)])
    report([folder / "results"], out, HOSTILE)
    return folder


def test_the_page_has_its_own_script_and_no_other_and_leads_nowhere(built: Path) -> None:
    text = (built / "reports" / "study" / "report.html").read_text()
    page = Page(text)
    assert page.tags.count("script") == 1 and text.count("<script") == 1
    assert not set(page.tags) & {"img", "iframe", "object", "embed", "form", "base", "link", "foreignobject"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in page.attributes if name in ("href", "src", "xlink:href"))
    assert "default-src 'none'" in text and "alert(1)" in text


def test_the_markdown_links_to_its_own_files_alone(built: Path) -> None:
    text = (built / "reports" / "study" / "report.md").read_text()
    listings = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<" not in listings and "javascript:" not in listings
    targets = re.findall(r"(?<!\\)\]\(([^)]*)\)", listings)
    assert targets and all(re.fullmatch(r"(tables|figures)/[A-Za-z0-9_-][A-Za-z0-9._-]*", one) for one in targets)


def test_the_latex_has_no_command_of_a_record(built: Path) -> None:
    tables = list((built / "reports" / "study" / "tables").glob("*.tex"))
    assert tables and not any(r"\input" in path.read_text() for path in tables)


def test_every_file_is_in_the_report_s_folder_and_no_link_is_written_through(built: Path) -> None:
    assert {path.name for path in built.iterdir()} == {
        "results", "reports", "own.py", "outside-report.md", "outside-report.html"
    }  # fmt: skip
    assert {path.name for path in (built / "reports").iterdir()} == {"study"}
    assert (built / "outside-report.md").read_text() == (built / "outside-report.html").read_text() == "precious"
