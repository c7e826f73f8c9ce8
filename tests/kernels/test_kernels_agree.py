"""Every registered backend answers to the float64 recurrence, gradients included."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import get_args

import pytest
import torch
from kernel_cases import SHAPES, Shape, band, check, request_for, sample

from harness.errors import Unsupported
from harness.kernels import KERNELS
from harness.kernels.backend import Backend, Discretization, Structure
from harness.kernels.reference import Reference, recurrence
from harness.registry import lookup

STRUCTURES = get_args(Structure)
SMALL = Shape(7, 2, 2, 2)


def backend(name: str) -> Backend:
    made: Backend = lookup("backend", KERNELS, name)()
    return made


def served(dtypes: tuple[str, ...]) -> list[object]:
    """(name, structure, discretization, dtype) of every combination that its backend can run on this machine."""
    return [
        pytest.param(
            *(name, structure, rule, dtype),
            # KeOps compiles forward and backward per dtype, some 20 s each on an empty cache; torch.compile per shape.
            marks=[pytest.mark.long] if (name, dtype) == ("keops", "float64") or name == "compiled" else [],
        )
        for name in KERNELS
        for structure in STRUCTURES
        for rule in get_args(Discretization)
        for dtype in dtypes
        if not backend(name).unsupported(request_for(structure, rule, dtype, SMALL))
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"L{shape.length}")
@pytest.mark.parametrize(("name", "structure", "rule", "dtype"), served(("float32", "float64")))
def test_kernel_and_gradients_equal_the_recurrence(
    name: str, structure: str, rule: str, dtype: str, shape: Shape
) -> None:
    check(backend(name), request_for(structure, rule, dtype, shape))


@pytest.mark.parametrize(("name", "structure", "rule", "dtype"), served(("float64",)))
def test_gradients_equal_finite_differences(name: str, structure: str, rule: str, dtype: str) -> None:
    request = request_for(structure, rule, dtype, Shape(6, 1, 2, 1))
    ssm = sample(request)
    fields = [field.name for field in dataclasses.fields(ssm)]

    def kernel(*parameters: torch.Tensor) -> torch.Tensor:
        return backend(name).kernel(type(ssm)(**dict(zip(fields, parameters, strict=True))), request)

    assert torch.autograd.gradcheck(kernel, tuple(vars(ssm).values()))


@pytest.mark.parametrize(("name", "structure", "rule", "dtype"), served(("float32",)))
def test_a_head_does_not_depend_on_its_neighbours(name: str, structure: str, rule: str, dtype: str) -> None:
    request = request_for(structure, rule, dtype, Shape(97, 3, 2, 2))
    ssm = sample(request)
    together = backend(name).kernel(ssm, request)
    for h in range(3):
        one = {field: value[:, h : h + 1] if field == "C" else value[h : h + 1] for field, value in vars(ssm).items()}
        alone = backend(name).kernel(type(ssm)(**one), dataclasses.replace(request, heads=1))
        assert (alone[:, 0] - together[:, h]).abs().max() <= 2 * band(request) * together[:, h].abs().max()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", KERNELS)
def test_a_refusal_is_in_sentences_and_raises(name: str, structure: str) -> None:
    request = request_for(structure, "zoh", "float32", SMALL)
    reasons = backend(name).unsupported(request)
    assert all(reason[0].isupper() and reason.endswith(".") for reason in reasons)
    if reasons:
        with pytest.raises(Unsupported) as refused:
            backend(name).kernel(sample(request), request)
        assert refused.value.reasons == reasons


@pytest.mark.parametrize("structure", STRUCTURES)
def test_auto_names_the_backend_whose_kernel_it_returns(structure: str) -> None:
    request = request_for(structure, "bilinear", "float32", SMALL)
    name = backend("auto").resolve(request)
    assert name not in ("auto", "reference")
    ssm = sample(request)
    assert torch.equal(backend("auto").kernel(ssm, request), backend(name).kernel(ssm, request))


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "auto"])
def test_a_named_backend_resolves_to_itself(name: str) -> None:
    assert backend(name).resolve(request_for("diagonal", "zoh", "float32", SMALL)) == name


def test_no_backend_class_imports_torch() -> None:
    program = (
        "import sys; from harness.registry import lookup; from harness.kernels import KERNELS\n"
        "[lookup('backend', KERNELS, name) for name in KERNELS]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class OneStepLate(Reference):
    """A planted fault: K_l = C Abar^(l+1) Bbar."""

    def kernel(self, ssm, request):  # type: ignore[no-untyped-def]
        longer = dataclasses.replace(request, length=request.length + 1)
        return super().kernel(ssm, longer)[..., 1:]


class FrozenTimescale(Reference):
    """A planted fault: the right kernel, and no gradient for dt."""

    def kernel(self, ssm, request):  # type: ignore[no-untyped-def]
        return super().kernel(dataclasses.replace(ssm, dt=ssm.dt.detach()), request)


class RoundedTimescale(Reference):
    """A planted fault: dt A formed from a dt rounded to bfloat16's 8 bits."""

    def kernel(self, ssm, request):  # type: ignore[no-untyped-def]
        rounded = ssm.dt + (ssm.dt.bfloat16() - ssm.dt).detach()
        return super().kernel(dataclasses.replace(ssm, dt=rounded), request)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"L{shape.length}")
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("fault", [OneStepLate, FrozenTimescale, RoundedTimescale])
def test_the_check_rejects_a_planted_fault(fault: type[Reference], structure: str, shape: Shape) -> None:
    with pytest.raises(AssertionError, match="is off by"):
        check(fault(), request_for(structure, "zoh", "float32", shape))


def test_the_recurrence_of_one_mode_is_its_closed_form() -> None:
    request = request_for("diagonal", "zoh", "float64", Shape(50, 1, 1, 1))
    ssm = sample(request)
    A, B, C, dt = (value.detach().squeeze() for value in vars(ssm).values())
    l = torch.arange(50, dtype=torch.float64)  # noqa: E741
    closed = 2 * (C * B * (torch.exp(dt * A) - 1) / A * torch.exp(l * dt * A)).real
    # The recurrence rounds its state once a step, and A = -a + 0i costs the quotient the digits of dt a.
    error = (recurrence(ssm, "zoh", 50)[0, 0] - closed).abs().max() / closed.abs().max()
    assert error <= (50 + 4 / abs(dt * A)) * 2.0**-52
