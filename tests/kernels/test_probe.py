"""A probe tells what really happened: it ran, or the true error."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.errors import UsageError
from harness.kernels import KERNELS
from harness.kernels.probe import probe
from harness.kernels.reference import Reference


@pytest.mark.parametrize("name", [name for name in KERNELS if name not in ("keops", "s4_cuda", "triton")])
def test_every_plain_backend_passes_its_probe(name: str) -> None:
    assert probe(name).ran


@pytest.mark.parametrize("name", ["s4_cuda", "triton"])
def test_a_backend_for_another_device_says_so(name: str) -> None:
    assert "but the device is 'cpu'" in probe(name).reasons


@dataclass(frozen=True)
class Raises(Reference):
    """A backend whose library is broken."""

    def kernel(self, ssm, request):  # type: ignore[no-untyped-def]
        raise RuntimeError("libcudart.so.10.2: cannot open shared object file")


@dataclass(frozen=True)
class Doubles(Reference):
    """A backend that runs and is wrong."""

    def kernel(self, ssm, request):  # type: ignore[no-untyped-def]
        return 2 * super().kernel(ssm, request)


@dataclass(frozen=True)
class HalvesGradients(Reference):
    """A backend whose backward is wrong."""

    def kernel(self, ssm, request):  # type: ignore[no-untyped-def]
        kernel = super().kernel(ssm, request)
        return kernel / 2 + kernel.detach() / 2


@dataclass(frozen=True)
class RefusesAll(Reference):
    """A backend that runs nowhere."""

    def unsupported(self, request):  # type: ignore[no-untyped-def]
        return ("There is no device for it.",)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Raises, "RuntimeError: libcudart.so.10.2: cannot open shared object file"),
        (Doubles, "differs from the recurrence by"),
        (HalvesGradients, "gradient of A differs"),
    ],
)
def test_a_probe_returns_the_true_trouble(fault: type, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KERNELS, "faulty", fault)
    assert words in probe("faulty").error


def test_a_backend_that_does_not_apply_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KERNELS, "faulty", RefusesAll)
    found = probe("faulty")
    assert found.reasons == "There is no device for it." and not found.error and not found.ran


def test_an_unknown_backend_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Did you mean 'krylov'"):
        probe("krilov")
