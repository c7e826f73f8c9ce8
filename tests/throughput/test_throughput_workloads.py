"""Layers and steps go through the same gate and rounds as kernels; ceilings and work are counted in the same run."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import throughput_fakes as fakes
import torch

from harness.kernels.apply import fft_conv
from harness.throughput import clock
from harness.throughput.config import KernelTimer, LayerTimer, StepTimer
from harness.throughput.inputs import workload
from harness.throughput.layer import DIRECT, convolved
from harness.throughput.work import work

LAYER = ("reference + fft", "two_level + fft", "two_level + chunked", "given + fft")
LAYERS = [("s4d-lin", "diagonal", LAYER), ("legt", "dplr", ("reference + fft", "krylov + fft", "krylov + chunked"))]


@pytest.mark.parametrize("length", [1, 2, 97, 101])
@pytest.mark.parametrize(("basis", "structure", "backends"), LAYERS, ids=["diagonal", "dplr"])
def test_a_layer_is_gated_and_timed_at_lengths_that_divide_nothing(
    length: int, basis: str, structure: str, backends: tuple[str, ...]
) -> None:
    rows = fakes.measured(*backends, what="layer", basis=basis, structure=structure, length=length, batch=3, repeats=2)
    assert [[row["passed"] for row in fakes.gates(rows, one)] for one in backends] == [[True]] * len(backends)
    assert fakes.backends_timed(rows) == {*backends, f"{backends[0]}#2"}


@pytest.mark.parametrize("length", [1, 2, 97, 101])
def test_a_kernel_is_gated_at_lengths_that_divide_nothing(length: int) -> None:
    rows = fakes.measured("reference", "two_level", length=length, repeats=2)
    assert all(fakes.gates(rows, one)[0]["passed"] for one in ("reference", "two_level"))


@pytest.mark.parametrize(
    ("backends", "options"),
    [(("reference", "two_level + chunked"), {}), (("krylov",), {"basis": "legs", "structure": "dplr"})],
)
def test_a_step_is_gated_and_timed(backends: tuple[str, ...], options: dict[str, Any]) -> None:
    rows = fakes.measured(*backends, what="step", batch=2, layers=2, outputs=3, length=20, **options)
    assert all(fakes.gates(rows, one)[0]["passed"] for one in backends)
    assert {name for _, name in fakes.timed(rows)} >= {
        f"{one}/{which}" for one in backends for which in ("forward_s", "both_s")
    }


@pytest.mark.parametrize("what", ["layer", "step"])
@pytest.mark.parametrize("wrong", ["scaled", "flipped", "infinite"])
def test_what_is_wrong_in_a_kernel_is_wrong_in_a_layer_and_a_step(what: str, wrong: str) -> None:
    rows = fakes.measured("reference", wrong, what=what, batch=2)
    assert [row["passed"] for row in fakes.gates(rows, wrong)] == [False]
    assert fakes.backends_timed(rows) == {"reference", "reference#2"}


def test_the_truth_of_a_layer_is_the_sum_at_short_and_its_transform_at_long_lengths() -> None:
    source = torch.Generator().manual_seed(0)
    u, k = (torch.randn(2, 3, DIRECT + 1, generator=source, dtype=torch.float64) for _ in range(2))
    assert torch.allclose(convolved(u, k[0])[..., :DIRECT], convolved(u[..., :DIRECT], k[0, :, :DIRECT]), atol=1e-11)
    assert torch.allclose(convolved(u[..., :97], k[0, :, :97]), fft_conv(u[..., :97], k[:1, :, :97]), atol=1e-11)


def test_few_heads_of_a_layer_are_compared_on_the_first_and_the_last_sequence() -> None:
    spec = fakes.job("reference", what="layer", batch=4)["spec"]
    whole = workload(spec, "cpu")
    few = whole.few(2)
    assert few.request.batch == 4 and few.truth().output.shape == (2, 2, 16)
    outcome = whole.call(fakes.contestant("reference")).forward()
    assert torch.allclose(whole.part_of(outcome, 2).double(), few.truth().output, atol=1e-4)


def test_an_element_that_stays_unwritten_fails_though_zero_would_be_right() -> None:
    """At dt = 1 the kernel has decayed to e^-48 after 97 steps: only poison tells what was left there."""
    rows = fakes.measured("reference", "unwritten", dt=(1.0, 1.0), length=97)
    assert [row["passed"] for row in fakes.gates(rows, "unwritten")] == [False]
    assert fakes.gates(rows, "unwritten")[0]["error"] == float("inf")


def test_an_output_that_is_right_with_few_heads_and_wrong_with_all_is_not_timed() -> None:
    rows = fakes.measured("reference", "larger")
    assert [row["passed"] for row in fakes.gates(rows, "larger")] == [True, False]
    assert "At full size" in fakes.gates(rows, "larger")[1]["reason"]
    assert fakes.backends_timed(rows) == {"reference", "reference#2"}


def test_a_contestant_without_gradients_is_timed_forward_alone() -> None:
    rows = fakes.measured("reference", "forward_only")
    assert {name for _, name in fakes.timed(rows) if name.startswith("forward_only")} == {"forward_only/forward_s"}
    assert {
        "row": "unsupported",
        "backend": "forward_only",
        "reasons": ["It has no backward pass."],
        "direction": "both",
    } in rows


def test_a_planted_slow_contestant_takes_as_much_longer_as_it_sleeps() -> None:
    rows = fakes.measured("reference", "sleepy(ms=4)", direction="forward", repeats=5)
    seconds = [row["value"] for row in rows if row.get("name") == "sleepy(ms=4)/forward_s"]
    assert 0.012 <= statistics.median(seconds) < 0.025


def test_a_graph_is_refused_off_the_gpu_with_its_reason() -> None:
    rows = fakes.measured("reference", "two_level", launch="graph")
    said = [row["reasons"][0] for row in rows if row["row"] == "unsupported"]
    assert len(said) == 2 and all("replays CUDA graphs, but the device is 'cpu'" in one for one in said)
    assert not fakes.backends_timed(rows)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graph_is_captured_on_the_gpu() -> None:
    rows = fakes.measured("two_level", device="cuda", launch="graph")
    assert fakes.backends_timed(rows) == {"two_level", "two_level#2"}


def test_ceilings_are_measured_at_the_start_and_the_end() -> None:
    rows = fakes.measured("reference")
    named = [(row["name"], row["step"]) for row in rows if row.get("name", "").startswith("ceiling/")]
    assert named == [(f"ceiling/{one}", step) for step in (0, 1) for one in ("gemm_flops_per_s", "copy_bytes_per_s")]


def test_a_clock_measures_what_it_calls() -> None:
    import time

    assert clock.Clock("cpu")(lambda: time.sleep(0.02)) == pytest.approx(0.02, rel=0.5)


def test_work_is_counted_by_its_formulas() -> None:
    kernel = work(KernelTimer(length=100, heads=3, state=8))
    assert kernel["forward"].flops == 2 * 8 * 100 * 3 and kernel["both"].flops == 3 * kernel["forward"].flops
    assert kernel["forward"].bytes == 4 * (3 * 3 * 8 + 100 * 3)
    layer = work(LayerTimer(length=100, heads=3, state=8, batch=5))
    assert layer["forward"].flops == (128 + 32) * 1500 and layer["forward"].bytes == 8 * 1500
    step = work(StepTimer(length=100, heads=3, state=8, batch=5, layers=2))
    assert step["forward"].flops == 2 * (layer["forward"].flops + 2 * 3 * 2 * 1500)
