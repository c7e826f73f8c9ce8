"""The workload "layer": y (M, H, L) = K * u, generation included, and the gradients of u and the parameters."""

from __future__ import annotations

import dataclasses

import torch

from harness.kernels.apply import fft_conv
from harness.kernels.auto import Auto
from harness.kernels.backend import Backend, Request, StateSpace
from harness.kernels.reference import recurrence
from harness.throughput.contestant import Contestant
from harness.throughput.workload import Call, Function, Outcome, Workload, leaves, picked, spread

DIRECT = 512
"""Up to this length the truth is the sum itself, beyond it a float64 FFT of twice the length."""


class Layer(Workload):
    """Layers of `ssm` on u (M, H, L), and a cotangent of that shape which is zero but for two sequences.

    The truth is known of the first and the last sequence; a cotangent that is zero in between has the parameters'
    gradients know of these two alone, at the cost of all.
    """

    def __init__(self, ssm: StateSpace, request: Request, u: torch.Tensor, cotangent: torch.Tensor) -> None:
        """`u` and `cotangent` (M, H, L) are in the timed dtype."""
        self.ssm, self.request, self.cotangent = ssm, request, cotangent
        self.model, self.parameters = leaves(ssm)
        self.u = u.detach().requires_grad_()
        self.ends = sorted({0, len(u) - 1})

    def call(self, contestant: Contestant) -> Call:
        if contestant.given:
            # Made once, outside of every timing: this contestant pays for the convolution alone.
            with torch.no_grad():
                kernel = Auto().kernel(self.model, dataclasses.replace(self.request, gradients=False))
            kernel = kernel.detach().requires_grad_()
            return Function(lambda _: fft_conv(self.u, kernel), [self.u, kernel], self.request, self.cotangent)
        return super().call(contestant)

    def backed(self, backend: Backend, request: Request) -> Call:
        leaves = [self.u, *self.parameters]
        return Function(lambda asked: backend.layer(self.u, self.model, asked), leaves, request, self.cotangent)

    def truth(self) -> Outcome:
        u = self.u[self.ends].detach().double().requires_grad_()
        kernel = recurrence(self.model, self.request.discretization, self.request.length)
        y = convolved(u, kernel[0])
        gradients = torch.autograd.grad(y, [u, *self.parameters], self.cotangent[self.ends].double())
        return Outcome(y.detach(), gradients)

    def few(self, heads: int, length: int | None = None) -> Layer:
        length = length or self.request.length
        pick = spread(self.ssm, heads)
        request = dataclasses.replace(self.request, heads=len(pick), length=length)
        cotangent = torch.zeros_like(self.cotangent[:, : len(pick), :length])
        cotangent[self.ends] = self.cotangent[self.ends][:, pick, :length]
        u = self.u.detach()[:, pick, :length].contiguous()
        return Layer(picked(self.ssm, pick), request, u, cotangent)

    def compared(self, outcome: Outcome) -> Outcome:
        """A given kernel has no parameters behind it: of its gradients only that of u has a truth."""
        du, *rest = outcome.gradients or (None,)
        if du is None:
            return Outcome(outcome.output[self.ends], ())
        return Outcome(outcome.output[self.ends], (du[self.ends], *(rest if len(rest) > 1 else ())))

    def part_of(self, output: torch.Tensor, heads: int) -> torch.Tensor:
        return output[self.ends][:, spread(self.ssm, heads)]


def convolved(u: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """y_t = sum_{s <= t} k_{t-s} u_s in float64, of u (M, H, L) and k (H, L)."""
    L = u.shape[-1]
    if L > DIRECT:
        y: torch.Tensor = torch.fft.irfft(torch.fft.rfft(u, n=2 * L) * torch.fft.rfft(k, n=2 * L), n=2 * L)[..., :L]
        return y
    lag = torch.arange(L, device=u.device)[:, None] - torch.arange(L, device=u.device)
    toeplitz = torch.where(lag >= 0, k[:, lag.clamp(min=0)], 0)
    return torch.einsum("hts,mhs->mht", toeplitz, u)
