"""Convolution by FFT is the sum it stands for."""

from __future__ import annotations

import math

import pytest
import torch

from harness.errors import UsageError
from harness.kernels import apply
from harness.kernels.apply import fast_size, fft_conv


def summed(u: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    y = torch.zeros_like(u)
    for t in range(u.shape[-1]):
        for s in range(u.shape[-1]):
            if s <= t:
                y[..., t] += k[0, :, t - s] * u[..., s]
            elif len(k) == 2:
                y[..., t] += k[1, :, s - t - 1] * u[..., s]
    return y


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 16, 31])
def test_the_convolution_is_its_sum(length: int, channels: int, dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(length)
    u = torch.randn(2, 3, length, generator=draw, dtype=dtype)
    k = torch.randn(channels, 3, length, generator=draw, dtype=dtype)
    y = fft_conv(u, k, bidirectional=channels == 2)
    # Three transforms of size n, each with at most 2 log2 n roundings of the largest |spectrum| product.
    n = fast_size(2 * length)
    size = float(u.double().abs().sum(-1).max() * k.double().abs().sum((0, 2)).max())
    assert y.dtype == dtype
    assert (y.double() - summed(u.double(), k.double())).abs().max() <= (
        6 * (1 + math.log2(n)) * torch.finfo(dtype).eps * size
    )


@pytest.mark.parametrize("size", [1, 20, 160, 10**6])
def test_slices_are_the_whole_in_any_layout_gradients_included(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(apply, "SLICE", size)
    monkeypatch.setattr(apply, "LEAST_HEADS", 2)
    draw = torch.Generator().manual_seed(0)
    stored = torch.randn(3, 10, 5, generator=draw, dtype=torch.float64, requires_grad=True)
    k = torch.randn(2, 5, 10, generator=draw, dtype=torch.float64, requires_grad=True)
    u = stored.transpose(1, 2)
    y, weights = fft_conv(u, k, bidirectional=True), torch.randn(3, 5, 10, generator=draw, dtype=torch.float64)
    assert y.stride() == u.stride()
    found = torch.autograd.grad(y, (u, k), weights)
    true = torch.autograd.grad(summed(u, k), (u, k), weights)
    # Transforms of 20 numbers of size up to some ten: as above.
    for one, other in ((y, summed(u, k)), *zip(found, true, strict=True)):
        assert torch.allclose(one, other, rtol=0, atol=6 * 6 * 2**-52 * 100)


def test_a_causal_output_ignores_the_future() -> None:
    u, k = torch.zeros(1, 1, 20, dtype=torch.float64), torch.ones(1, 1, 20, dtype=torch.float64)
    u[..., 12:] = 1.0
    assert fft_conv(u, k)[..., :12].abs().max() <= 1e-14


def test_the_present_counts_once_in_a_bidirectional_convolution() -> None:
    u, k = torch.zeros(1, 1, 9, dtype=torch.float64), torch.zeros(2, 1, 9, dtype=torch.float64)
    u[..., 4] = 1.0
    k[0, 0, 0], k[1, 0, 0] = 2.0, 5.0
    expected = torch.zeros(9, dtype=torch.float64)
    expected[3], expected[4] = 5.0, 2.0
    assert torch.allclose(fft_conv(u, k, bidirectional=True)[0, 0], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("channels", [1, 2])
def test_gradients_of_the_convolution_equal_finite_differences(channels: int) -> None:
    u = torch.randn(2, 1, 5, dtype=torch.float64, requires_grad=True)
    k = torch.randn(channels, 1, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u, k: fft_conv(u, k, bidirectional=channels == 2), (u, k))


@pytest.mark.parametrize(("channels", "length", "bidirectional"), [(2, 8, False), (1, 8, True), (1, 7, False)])
def test_a_kernel_that_does_not_fit_is_refused(channels: int, length: int, bidirectional: bool) -> None:
    with pytest.raises(UsageError, match="needs a kernel of shape"):
        fft_conv(torch.zeros(1, 1, 8), torch.zeros(channels, 1, length), bidirectional)


def test_a_fast_size_is_the_smallest_even_product_of_2_3_and_5() -> None:
    def smooth(n: int) -> bool:
        for prime in (2, 3, 5):
            while n % prime == 0:
                n //= prime
        return n == 1

    for n in range(2, 400):
        assert fast_size(n) == next(m for m in range(n + n % 2, 2 * n + 2, 2) if smooth(m))
