"""How Re(Lambda) <= 0 is stored, so that training cannot make a mode grow and no value is floored.

    Re = -exp(p)       where the basis is damped (LegS, the diagonal families): p = log(-Re)
    Re = min(p, 0)     where the normal part is a pure oscillation (LegT, FouT, LagT): p = Re = 0, exactly

-exp(p) cannot be 0; clamping 0 to -1e-4 first, as the official code does, both damps those bases and freezes them there
(d Re/dp = 1e-4). With Re <= 0 the system stays stable whatever P is: Re(x* (Lambda - PP*) x) = Re |x|^2 - |P* x|^2.

Gu et al. 2022, S4D, for the -exp form; the second form is this project's.
"""

from __future__ import annotations

import torch


def stored(re: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """p and the mask "is damped", of the shape of `re`; 0 is what lies within rounding, N eps `scale`, of it.

    `scale` is |Lambda| at its largest, as a sum over N entries made Re. Raises ValueError where Re > 0.
    """
    rounding = 2 * re.shape[-1] * torch.finfo(torch.float64).eps * scale
    damped = re < -rounding
    if bool((re > rounding).any()):
        raise ValueError(f"Re(Lambda) is {float(re.max()):.2g}; a stable normal part has none above 0.")
    return torch.where(damped, torch.log(torch.where(damped, -re, 1.0)), 0.0), damped


def real_part(p: torch.Tensor, damped: torch.Tensor) -> torch.Tensor:
    """Re <= 0 of the stored p, differentiable."""
    undamped: torch.Tensor = _NonPositive.apply(p)  # type: ignore[no-untyped-call]
    return torch.where(damped, -torch.exp(p), undamped)


class _NonPositive(torch.autograd.Function):
    """min(p, 0) with the gradient of a projection: at 0 what would raise p is dropped, what lowers it passes.

    The plain gradient of min is 0 above 0, so a parameter that momentum carried there would never come back.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, p: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(p)
        return p.clamp(max=0)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: torch.Tensor) -> torch.Tensor:
        (p,) = ctx.saved_tensors  # type: ignore[attr-defined]
        (gradient,) = gradients
        return torch.where((p < 0) | (gradient > 0), gradient, 0.0)
