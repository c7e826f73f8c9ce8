"""The words that a record is given in MLflow, and the pictures that go with it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from track_records import ARRAYS, header, metric

from harness.records import STATUSES
from harness.track import describe, plots


def test_every_status_of_a_record_has_a_status_in_mlflow() -> None:
    assert set(describe.RUN_STATUS) == set(STATUSES)


def test_a_run_is_named_by_its_arm_and_seed() -> None:
    one = header(4)
    one["ablation"]["arm"] = {"basis": "fout", "dt": "0.008", "model.d_state": "64"}
    assert describe.run_name(one) == "fout · dt 0.008 · model.d_state 64 · seed 4"


def test_an_axis_that_is_not_compared_is_named_from_the_spec() -> None:
    one = header(0)
    one["ablation"]["arm"] = {"backend": "krylov"}
    assert describe.run_name(one) == "legs · dt 0.001..0.1 · backend krylov · seed 0"


def test_a_kernel_timing_has_tags_and_no_dataset() -> None:
    one = header(0)
    one["spec"] = {
        "kind": "throughput",
        "seed": 0,
        "timer": {"name": "kernel", "version": 1, "backends": ["reference", "krylov"], "structure": "diagonal"},
        "basis": {"name": "legs", "version": 1},
        "dt": {"name": "log_uniform", "version": 1, "min": 0.01, "max": 0.01},
    }
    for key in ("task", "data", "backend"):
        del one[key]
    tags = describe.tags(one)
    assert (tags["backend"], tags["structure"]) == ("reference, krylov", "diagonal")
    assert "task" not in tags
    assert describe.dataset(one) is None


def test_params_are_the_flattened_spec() -> None:
    flat = dict(describe.params({"seed": 1, "model": {"name": "s4", "rank": None, "train_A": True, "lr": [1, 2.5]}}))
    assert flat == {
        "seed": "1",
        "model.name": "s4",
        "model.rank": "null",
        "model.train_A": "true",
        "model.lr": "[1, 2.5]",
    }


@pytest.mark.parametrize("name", ["a@b=c", "../up", "a//b", "/root", "x%y", "ü ok", "[0]"])
def test_a_metric_of_any_name_gets_a_key_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    key, *_ = describe.metric(metric(0, name=name)) or ("",)
    _validate_metric_name(key)


def test_a_metric_without_a_number_is_left_out() -> None:
    assert describe.metric(metric(0) | {"value": None}) is None


def test_every_picture_is_well_formed_and_draws_each_curve() -> None:
    drawn = plots.draw({row["name"]: row["values"] for row in ARRAYS})
    assert {ElementTree.fromstring(svg).tag for svg in drawn.values()} == {"{http://www.w3.org/2000/svg}svg"}
    assert drawn["kernels.svg"].count("<polyline") == 4
    assert drawn["dt.svg"].count("<title>final: 1<") == 3


@pytest.mark.parametrize("values", [[], [0.5], [[]], [["nan", "inf"]], [[[1.0, 2.0]], [[3.0, 4.0]]]])
def test_odd_arrays_are_drawn_without_an_error(values: list[object]) -> None:
    for name in ("kernel/initial", "dt/final"):
        for svg in plots.draw({name: values}).values():
            ElementTree.fromstring(svg)


def test_a_record_without_arrays_has_no_pictures() -> None:
    assert plots.draw({}) == {}
