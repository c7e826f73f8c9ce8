"""The official CUDA extension: called as it asks to be, judged by a stand-in of its signatures on the processor."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import sys
import types

import pytest
import torch
from kernel_cases import Shape, check, request_for

from harness.kernels import s4_cuda
from harness.kernels.backend import Request
from harness.kernels.s4_cuda import S4Cuda

SHAPES = (Shape(2, 1, 2, 1), Shape(7, 2, 4, 2), Shape(96, 3, 2, 2))
Rows = torch.Tensor


def _fits(*rows: torch.Tensor) -> None:
    for row in rows:
        assert row.dtype == torch.complex64 and row.is_contiguous() and not row.is_conj()


def _cauchy(v: Rows, z: Rows, w: Rows) -> Rows:
    _fits(v, z, w)
    assert v.shape == w.shape and z.ndim == 1
    v, w = v[..., None], w[..., None]
    return (v / (z - w) + v.conj() / (z - w.conj())).sum(1)


def _cauchy_bwd(v: Rows, z: Rows, w: Rows, G: Rows) -> tuple[Rows, Rows]:
    _fits(v, z, w, G)
    near, far = z.conj() - w.conj()[..., None], z - w.conj()[..., None]
    one, two = G[:, None] / near, G.conj()[:, None] / far
    return (one + two).sum(-1), v.conj() * (one / near + two / far).sum(-1)


def _vandermonde(v: Rows, x: Rows, length: int) -> Rows:
    _fits(v, x)
    return 2 * (v[..., None] * torch.exp(x[..., None] * torch.arange(length))).sum(1).real


def _vandermonde_bwd(v: Rows, x: Rows, G: Rows) -> tuple[Rows, Rows]:
    _fits(v, x)
    assert G.dtype == torch.float32 and G.is_contiguous()
    l = torch.arange(G.shape[-1])  # noqa: E741
    terms = G[:, None] * torch.exp(x[..., None] * l).conj()
    return 2 * terms.sum(-1), 2 * v.conj() * (terms * l).sum(-1)


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in, whose four functions are the formulas of the extension's sources in plain torch."""
    module = types.ModuleType(s4_cuda.MODULE)
    module.__spec__ = importlib.machinery.ModuleSpec(s4_cuda.MODULE, None)
    module.cauchy_mult_sym_fwd, module.cauchy_mult_sym_bwd = _cauchy, _cauchy_bwd  # type: ignore[attr-defined]
    module.vand_log_mult_sym_fwd, module.vand_log_mult_sym_bwd = _vandermonde, _vandermonde_bwd  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, s4_cuda.MODULE, module)
    s4_cuda.import_error.cache_clear()
    return module


def asked(structure: str, rule: str, shape: Shape) -> Request:
    return dataclasses.replace(request_for(structure, rule, "float32", shape), device="cuda")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"L{shape.length}")
@pytest.mark.parametrize(("structure", "rule"), [("dplr", "bilinear"), ("diagonal", "bilinear"), ("diagonal", "zoh")])
def test_kernel_and_gradients_equal_the_recurrence(
    extension: types.ModuleType, structure: str, rule: str, shape: Shape
) -> None:
    check(S4Cuda(), asked(structure, rule, shape))


@pytest.mark.parametrize("function", ["cauchy_mult_sym_bwd", "vand_log_mult_sym_bwd"])
def test_a_gradient_of_the_wrong_convention_is_rejected(
    extension: types.ModuleType, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(extension, function)
    monkeypatch.setattr(extension, function, lambda *rows: tuple(g.conj().resolve_conj() for g in right(*rows)))
    with pytest.raises(AssertionError, match="is off by"):
        check(S4Cuda(), asked("dplr" if "cauchy" in function else "diagonal", "bilinear", SHAPES[1]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": "cpu"}, "the device is 'cpu'"),
        ({"dtype": "float64"}, "got 'float64'"),
        ({"state": 6}, "size is 6."),
        ({"state": 2}, "size is 2."),
        ({"state": 4096}, "size is 4096."),
        ({"structure": "dense"}, "got 'dense'"),
        ({"discretization": "zoh"}, "bilinear rule"),
        ({"application": "chunked"}, "whole kernels"),
    ],
)
def test_what_the_extension_cannot_do_is_said(extension: types.ModuleType, change: dict[str, str], words: str) -> None:
    request = asked("dplr", "bilinear", SHAPES[1])
    assert S4Cuda().unsupported(request) == ()
    (reason,) = S4Cuda().unsupported(dataclasses.replace(request, **change))
    assert words in reason


def test_a_missing_extension_is_named() -> None:
    assert any("is not installed" in reason for reason in S4Cuda().unsupported(asked("dplr", "bilinear", SHAPES[1])))


def test_an_extension_that_does_not_load_gives_its_own_error(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{s4_cuda.MODULE}.py").write_text("raise ImportError('libcudart.so.10.2: cannot open')")  # type: ignore[operator]
    monkeypatch.syspath_prepend(tmp_path)
    s4_cuda.import_error.cache_clear()
    (reason,) = S4Cuda().unsupported(asked("dplr", "bilinear", SHAPES[1]))
    s4_cuda.import_error.cache_clear()
    assert "ImportError: libcudart.so.10.2: cannot open" in reason
