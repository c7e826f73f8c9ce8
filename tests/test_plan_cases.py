"""A case sets several axes at once; other axes are crossed with it, and a mistake in it is one sentence."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.ablation import read
from harness.errors import UsageError
from harness.plan import Plan, only, plan

GOOD = """
question = "Which?"
expect = "This."
kind = "throughput"

[fixed]
basis = "legs"
timer = {backends = ["krylov"], heads = 8, structure = "dplr", discretization = "zoh"}

[compare]
case = [
  {label = "LegS, short", timer = {length = 64}},
  {label = "Lin", basis = "s4d-lin", timer = {backends = ["reference", "two_level"], structure = "diagonal"}},
  {basis = "fout", dt = {min = 0.1, max = 0.1}, timer = {length = 128, heads = 4}},
]
timer.state = [4, 8]
"""
THIRD = "fout, 0.1, length=128, heads=4"


def planned(tmp_path: Path, text: str = GOOD, settings: list[str] | None = None) -> Plan:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return plan(read(path, settings))


def test_cases_are_crossed_with_the_other_axes(tmp_path: Path) -> None:
    found = planned(tmp_path)
    assert found.levels == {"case": ("LegS, short", "Lin", THIRD), "timer.state": ("4", "8")}
    assert [dict(trial.arm.labels) for trial in found.trials[:2]] == [
        {"case": "LegS, short", "timer.state": "4"},
        {"case": "LegS, short", "timer.state": "8"},
    ]
    assert len({trial.trial_id for trial in found.trials}) == 6


def test_a_table_is_merged_over_fixed_key_by_key_and_a_name_replaces(tmp_path: Path) -> None:
    specs = {trial.arm.labels["case"]: trial.as_json() for trial in planned(tmp_path).trials}
    timers = {case: spec["timer"] for case, spec in specs.items()}
    keys = ("length", "heads", "structure", "discretization", "backends")
    assert [[timer[key] for key in keys] for timer in timers.values()] == [
        [64, 8, "dplr", "zoh", ["krylov"]],
        [1024, 8, "diagonal", "zoh", ["reference", "two_level"]],
        [128, 4, "dplr", "zoh", ["krylov"]],
    ]
    assert [spec["basis"]["name"] for spec in specs.values()] == ["legs", "s4d-lin", "fout"]
    assert [spec["dt"]["min"] for spec in specs.values()] == [1e-3, 1e-3, 0.1]


def test_a_table_over_a_name_keeps_the_name(tmp_path: Path) -> None:
    fixed = 'timer = {backends = ["krylov"], heads = 8, structure = "dplr", discretization = "zoh"}'
    text = GOOD.replace(fixed, 'timer = "layer"').replace("length = 64", 'structure = "dplr", backends = ["krylov"]')
    text = text.replace("length = 128", 'length = 128, structure = "dplr", backends = ["krylov"]')
    assert {trial.choices["timer"]["name"] for trial in planned(tmp_path, text).trials} == {"layer"}


def test_a_case_may_choose_what_fixed_does_not(tmp_path: Path) -> None:
    text = GOOD.replace('basis = "legs"\n', "").replace(
        "timer = {length = 64}", 'basis = "legs", timer = {length = 64}'
    )
    assert len(planned(tmp_path, text).trials) == 6


def test_only_keeps_one_case(tmp_path: Path) -> None:
    assert {t.arm.labels["case"] for t in only(planned(tmp_path), ["case=LegS, short"]).trials} == {"LegS, short"}
    with pytest.raises(UsageError, match="Unknown case in --only 'LegS'"):
        only(planned(tmp_path), ["case=LegS"])


MALFORMED = {
    "an axis that does not exist": ('basis = "s4d-lin"', 'bases = "s4d-lin"', "line 13: Unknown axis in compare.case"),
    "an axis of the other kind": ('basis = "s4d-lin"', 'model = "s4"', "'Lin': 'model'. Choose one of: timer, basis"),
    "a typo in a key": ("heads = 4", "head = 4", "The timer 'kernel' has no parameter 'head'. Did you mean 'heads'"),
    "a typo in a labelled case": (
        "length = 64",
        "lenght = 64",
        "line 12: The timer 'kernel' has no parameter 'lenght'",
    ),
    "a basis that does not exist": ("s4d-lin", "s4d-line", "line 13: Unknown basis 's4d-line'. Did you mean 's4d-lin'"),
    "a form the basis lacks": ('"diagonal"}', '"dplr"}', "line 13: The basis 's4d-lin' has no dplr form"),
    "a case without an axis": (", timer = {length = 64}", "", "write each case as a table of axes"),
    "a case that is no table": ('{label = "LegS, short", timer = {length = 64}}', '"legs"', "compare.case has 'legs'"),
    "a case twice": ('"LegS, short"', '"Lin"', "line 11: compare.case has 'Lin' twice"),
    "no cases": (GOOD[GOOD.index("case = [") : GOOD.index("timer.state")], "case = []\n", "compare.case is empty"),
    "cases as a table": (GOOD[GOOD.index("case = [") : GOOD.index("timer.state")], "case = {}\n", "give a list of"),
    "a parameter set twice": ("timer.state", "timer.length", "timer.length stands under [compare] and in the case"),
    "an axis set twice": ("timer.state = [4, 8]", 'basis = ["legs"]', "basis stands under [fixed] and under"),
    "two cases that are one": (
        '{label = "LegS, short", timer = {length = 64}}',
        '{label = "a", timer = {length = 64}}, {label = "b", timer = {length = 64}}',
        "are the same trial",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_case_is_one_sentence(case: str, tmp_path: Path) -> None:
    old, new, sentence = MALFORMED[case]
    assert old in GOOD
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, GOOD.replace(old, new))
    message = str(caught.value)
    assert sentence in message and "\n" not in message, message
    assert message.startswith(str(tmp_path / "study.toml")), message


def test_a_plan_of_100_000_trials_with_cases_takes_under_5_seconds(tmp_path: Path) -> None:
    text = GOOD.replace("kind =", "repeats = 16667\nkind =")
    started = time.process_time()
    assert len(list(planned(tmp_path, text).jobs())) == 100_002
    assert time.process_time() - started < 5
