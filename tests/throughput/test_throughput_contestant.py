"""A contestant is a text: what it may say, and the sentence for what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.kernels.krylov import Krylov
from harness.throughput.config import KernelTimer, LayerTimer, StepTimer
from harness.throughput.contestant import parse


@pytest.mark.parametrize(
    ("text", "name", "options", "application"),
    [
        ("krylov", "krylov", (), "fft"),
        ("krylov(squarings=float32)", "krylov", (("squarings", "float32"),), "fft"),
        (" krylov ( squarings = float32 ) + chunked ", "krylov", (("squarings", "float32"),), "chunked"),
        ("two_level+fft", "two_level", (), "fft"),
        ("sleepy(ms=0.5)", "sleepy", (("ms", 0.5),), "fft"),
        ("hungry(mib=3)", "hungry", (("mib", 3),), "fft"),
    ],
)
def test_a_text_names_a_backend_its_options_and_an_application(
    text: str, name: str, options: tuple[Any, ...], application: str
) -> None:
    found = parse(text, applied=True)
    assert (found.name, found.options, found.application, found.text) == (name, options, application, text)


def test_its_backend_has_the_options() -> None:
    assert parse("krylov(squarings=float32)", applied=False).backend == Krylov(squarings="float32")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("krylof", "Unknown backend 'krylof'. Did you mean 'krylov'"),
        ("krylov(squaring=float32)", "has no parameter 'squaring'. Did you mean 'squarings'"),
        ("krylov(squarings=float16)", "Unknown value of krylov(squarings) 'float16'. Did you mean"),
        ("krylov(squarings)", "write each option once, as option=value"),
        ("krylov(squarings=float32, squarings=float64)", "write each option once"),
        ("sleepy(ms=long)", "sleepy(ms) is 'long', which is no float"),
        ("hungry(mib=1.5)", "hungry(mib) is '1.5', which is no int"),
        ("krylov + fftt", "Unknown application 'fftt'. Did you mean 'fft'"),
        ("krylov +", "'krylov +' names no contestant"),
        ("", "names no contestant"),
        ("given + chunked", "a given kernel is applied by FFT"),
    ],
)
def test_a_text_that_names_none_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, applied=True, may_be_given=True)
    assert sentence in str(caught.value)


def test_kernel_generation_is_applied_in_no_way() -> None:
    with pytest.raises(UsageError, match="kernel generation alone is timed"):
        KernelTimer(backends=("reference", "two_level + fft"))


@pytest.mark.parametrize("timer", [KernelTimer, StepTimer])
def test_a_kernel_is_given_to_a_layer_alone(timer: Any) -> None:
    with pytest.raises(UsageError, match='for the timer "layer" alone'):
        timer(backends=("reference", "given"))
    assert LayerTimer(backends=("reference", "given + fft")).contestants[1].given


def test_two_texts_of_one_contestant_are_refused() -> None:
    with pytest.raises(UsageError, match="which are the same"):
        LayerTimer(backends=("two_level", "two_level + fft"))
    with pytest.raises(UsageError, match="which are the same"):
        KernelTimer(backends=("two_level", "two_level"))


def test_what_is_left_out_is_written_out() -> None:
    timer = KernelTimer(backends=("krylov", "reference"), structure="dplr")
    assert (timer.baseline, timer.discretization) == ("krylov", "bilinear")


@pytest.mark.parametrize(("field", "value"), [("budget_s", 0.0), ("budget_gib", -1.0), ("batch", 0), ("backends", ())])
def test_a_size_or_budget_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"timer\.{field} is"):
        LayerTimer(**{field: value})
