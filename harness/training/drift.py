"""How far training has moved the state space from its initialisation.

    dt    |log(dt/dt_0)|                                        of every head (or head and state)
    A     |lambda - lambda_0| / max(|lambda_0|, 1/2)            of every eigenvalue of the normal part, or of dense A as
          |A - A_0|_F / max(|A_0|_F, 1/2)                       a whole
    P     |P - P_0|_F / max(|P_0|_F, 1/2)                       of every head

The eigenvalues are those of Lambda in A = Lambda - P P*: LegS's A has the eigenvalues -1 ... -N with eigenvectors so
ill-conditioned that float64 does not find them. 1/2 is the damping of LegS in its unit of time; it stands in for the
frequency 0 and the P = 0 that some bases have.
"""

from __future__ import annotations

import torch

from harness.kernels.backend import DPLR, StateSpace
from harness.ssm.model import Model

LEAST = 0.5


class Drift:
    """Compares a model with what it was when this was made."""

    def __init__(self, model: Model) -> None:
        # Frozen parts stay as they are; of them there is nothing to say.
        self.trained = {name for name, members in model.ssm_parameters().items() if members}
        self.initial = _parts(model)

    def metrics(self, model: Model) -> dict[str, float]:
        """`dt_median`, `dt_max` and the like for A and P, over all layers; only of what is trained."""
        found: dict[str, float] = {}
        for name, values in _parts(model).items():
            if name in self.trained:
                away = torch.cat([_AWAY[name](*pair) for pair in zip(values, self.initial[name], strict=True)])
                found |= {f"{name}_median": float(away.median()), f"{name}_max": float(away.max())}
        return found


@torch.no_grad()
def _parts(model: Model) -> dict[str, list[torch.Tensor]]:
    """The values of every layer as they are now, in float64 on the CPU."""
    spaces: list[StateSpace] = [layer.ssm.state_space() for layer in model.layers]
    found = {"dt": [space.dt for space in spaces], "A": [space.A for space in spaces]}
    low_rank = [space.P for space in spaces if isinstance(space, DPLR)]
    found |= {"P": low_rank} if low_rank else {}
    return {name: [value.detach().cpu().clone() for value in values] for name, values in found.items()}


def _away_dt(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    return (now / before).log().abs().flatten()


def _away_A(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    if not now.is_complex():
        return _away_norm(now, before)
    return ((now - before).abs() / before.abs().clamp(min=LEAST)).flatten()


def _away_norm(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    moved, start = (torch.linalg.vector_norm(one.flatten(1), dim=1) for one in (now - before, before))
    return torch.as_tensor(moved / start.clamp(min=LEAST))


_AWAY = {"dt": _away_dt, "A": _away_A, "P": _away_norm}
