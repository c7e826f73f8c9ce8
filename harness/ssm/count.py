"""How many parameters a model trains, in closed form and without torch; a complex number counts as two.

Legend: H features, N state size, n = N/2, S copies (n_ssm), R rank, K channels of the kernel, d inputs, c outputs.

    layer   A, B 2 S n each, P 2 S R n, C 2 K H n (dense: S N N, S N, K H N), dt H or H n, D H
    block   layer + linear H -> 2H (GLU) or H -> H, with bias + norm 2H
    model   encoder d H (tokens) or (d + 1) H + blocks + the final norm 2H where prenorm + head (H + 1) c, of pairs
            (4 H + 1) H + (H + 1) c
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.bases.basis import Basis
from harness.ssm.config import S4
from harness.ssm.timescale import LogUniform
from harness.tasks.task import Inputs


@dataclass(frozen=True)
class Count:
    """Trained parameters; frozen ones are not among them."""

    blocks: int
    """Blocks and norms, which papers and configurations are compared by."""
    ends: int
    """Encoder and head."""

    @property
    def total(self) -> int:
        return self.blocks + self.ends


def count(config: S4, basis: Basis, timescale: LogUniform, inputs: Inputs, outputs: int) -> Count:
    """The count of a model of `basis` on a task of these inputs and outputs."""
    H = config.d_model
    width = 2 * H if config.glu else H
    norm = 0 if config.norm == "none" else 2 * H
    block = _layer(config, basis, timescale) + (H + 1) * width + norm
    encoder = inputs.size * H if inputs.kind == "tokens" else (inputs.size + 1) * H
    head = (H + 1) * outputs + ((4 * H + 1) * H if inputs.towers == 2 else 0)
    return Count(config.n_layers * block + (norm if config.prenorm else 0), encoder + head)


def _layer(config: S4, basis: Basis, timescale: LogUniform) -> int:
    H, N, S, n = config.d_model, config.d_state, config.copies, config.d_state // 2
    K, R = (2 if config.bidirectional else 1), config.full_rank(basis)
    dense = config.structure == "dense"
    A = S * N * N if dense else 2 * S * n * (1 + R)
    B = S * N if dense else 2 * S * n
    C = K * H * N if dense else 2 * K * H * n
    dt = H * n if timescale.per == "state" else H
    trained = ((A, config.train_A), (B, config.train_B), (C, config.train_C), (dt, config.train_dt), (H, config.skip))
    return sum(size for size, is_trained in trained if is_trained)
