"""The whole report: files, determinism, hostile records, a real browser."""

from __future__ import annotations

import html.parser
import random
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from report_builder import LISTOPS, equivalence, sweep, throughput, trial

from harness.errors import UsageError
from harness.report.build import report

HOSTILE = "</td><script>document.title='owned'</script><img src=x onerror=alert(1)> $\\evil{}$ | `x` [a](javascript:b)"
CHROMIUM = shutil.which("chromium")


def score(arm: Mapping[str, str], seed: int) -> float:
    return 0.4 - 0.2 * (arm.get("dt") == "0.008") + 0.01 * random.Random(f"{arm}{seed}").random()


def everything(results: Path) -> None:
    sweep(results, score, name="delay", primary="dt[1]: legt - legs")
    sweep(results, score, name="listops", task=LISTOPS, levels={"basis": ["legs", "legt"]}, primary="legs - legt")
    trial(results, 0.1, status="diverged", reason="nan at step 3", name="delay", seed=1, primary="dt[1]: legt - legs")
    equivalence(results, 1e-4)
    for length in (256, 512):
        draws = random.Random(length)
        seconds = {name: [draws.uniform(1, 1.1) for _ in range(8)] for name in ("reference", "reference#2", "fast")}
        throughput(results, seconds, length=length, lengths=(256, 512), unsupported={"keops": ["No compiler."]})


def hostile(results: Path) -> None:
    levels = {"basis": ["legs", HOSTILE], "dt": ["0.008"]}
    about: dict[str, Any] = {"question": HOSTILE, "expect": HOSTILE, "text": HOSTILE, "labels": [HOSTILE]}
    about |= {"task": LISTOPS | {"title": HOSTILE, "primary": HOSTILE}, "primary": HOSTILE}
    sweep(results, score, name=f"../{HOSTILE}", levels=levels, **about)
    arm = {"basis": "legs", "dt": "0.008"}
    trial(results, 0.0, status="error", reason=HOSTILE, name=f"../{HOSTILE}", levels=levels, arm=arm, **about)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on every kind of study."""
    root = tmp_path_factory.mktemp("whole")
    everything(root / "results")
    return report([root / "results"], root / "report").parent


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on records full of hostile text."""
    root = tmp_path_factory.mktemp("attacked")
    hostile(root / "results")
    return report([root / "results"], root / "report").parent


class Reader(html.parser.HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def tags(page: Path) -> list[tuple[str, dict[str, str | None]]]:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader.seen


def test_the_same_records_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    again = report([whole.parent / "results"], tmp_path).parent
    names = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [name for name in names if (whole / name).read_bytes() != (again / name).read_bytes()] == []


def test_every_link_of_the_markdown_leads_to_a_file(whole: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (whole / "report.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (whole / link).is_file()] == []


def test_every_figure_and_table_is_linked(whole: Path) -> None:
    text = (whole / "report.md").read_text(encoding="utf-8")
    files = [path for folder in ("figures", "tables") for path in (whole / folder).iterdir()]
    assert [path.name for path in files if f"{path.parent.name}/{path.name}" not in text] == []


def test_the_page_fetches_nothing(whole: Path) -> None:
    for tag, attributes in tags(whole / "report.html"):
        assert tag not in ("link", "img", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,")), tag


def test_every_figure_has_alternative_text_and_every_id_is_its_own(whole: Path) -> None:
    seen = tags(whole / "report.html")
    drawings = [attributes for tag, attributes in seen if tag == "svg"]
    identities = [attributes["id"] for _, attributes in seen if "id" in attributes]
    assert len(drawings) >= 6
    assert all(attributes["aria-label"] for attributes in drawings)
    assert len(identities) == len(set(identities))


def test_hostile_records_add_no_element_to_the_page(attacked: Path) -> None:
    seen = tags(attacked / "report.html")
    assert [tag for tag, _ in seen].count("script") == 1
    assert not any(tag == "img" or any(name.startswith("on") for name in attributes) for tag, attributes in seen)


def test_hostile_records_put_no_markup_into_markdown(attacked: Path) -> None:
    text = (attacked / "report.md").read_text(encoding="utf-8")
    outside = re.sub(r"(?s)^(`{3,})text\n.*?^\1$", "", text, flags=re.MULTILINE)
    assert "<" not in outside
    assert "javascript:" not in outside


def test_hostile_names_stay_in_the_report_folder(attacked: Path) -> None:
    assert {path.name for path in attacked.parent.iterdir()} == {"results", "report"}
    assert all(path.parent.parent == attacked for path in attacked.rglob("*.svg"))


def test_a_rerun_replaces_figures_of_the_report_before(tmp_path: Path) -> None:
    everything(tmp_path / "many")
    throughput(tmp_path / "few", {"reference": [1.0, 1.1]})
    report([tmp_path / "many"], tmp_path / "out")
    report([tmp_path / "few"], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "figures").iterdir()] == ["bases-gallery.svg"]


def test_no_record_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no trial record"):
        report([tmp_path], tmp_path / "out")


def test_a_report_of_only_failures_says_so(tmp_path: Path) -> None:
    trial(tmp_path / "r", 0.0, status="out_of_memory", reason="needed 9 GiB")
    text = report([tmp_path / "r"], tmp_path / "out").with_name("report.md").read_text(encoding="utf-8")
    assert "Cannot tell: no trial is done." in text
    assert "needed 9 GiB" in text


def test_one_seed_has_no_interval_and_says_so(tmp_path: Path) -> None:
    sweep(tmp_path / "r", score, seeds=1)
    text = report([tmp_path / "r"], tmp_path / "out").with_name("report.md").read_text(encoding="utf-8")
    assert "One seed in every cell: there is no interval" in text
    assert "(one seed)" in text
    assert "±" not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver")
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium and chromium-driver are not installed")


@needs_chromium
@pytest.mark.parametrize("width", [380, 1440])
def test_the_page_does_not_overflow_and_logs_nothing(browser: Any, whole: Path, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((whole / "report.html").as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.get_log("browser") == []


@needs_chromium
def test_a_click_sorts_a_column_by_number_and_back(browser: Any, whole: Path) -> None:
    browser.get((whole / "report.html").as_uri())
    order = """
        const table = [...document.querySelectorAll("table")].find((one) => one.tHead.textContent.includes("dt 0.008"));
        const button = table.querySelectorAll("th button")[2];
        const read = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.key));
        button.click(); const up = read(); button.click(); return [up, read()];
    """
    up, down = browser.execute_script(order)
    assert len(set(up)) == 3
    assert up == sorted(up)
    assert down == sorted(up, reverse=True)


@needs_chromium
def test_nothing_of_a_hostile_record_runs(browser: Any, attacked: Path) -> None:
    browser.get((attacked / "report.html").as_uri())
    assert browser.title.startswith("Ablation report")
    assert browser.get_log("browser") == []
