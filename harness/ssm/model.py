"""The deep model: encoder, blocks, pooling, head (Gu et al. 2022).

Legend: M sequences, L length, H = d_model features, K outputs, N state size, n = N/2.
"""

from __future__ import annotations

import torch
from torch import nn

from harness.bases.basis import Basis
from harness.kernels.backend import Backend
from harness.ssm.block import Block
from harness.ssm.config import S4
from harness.ssm.layer import Layer
from harness.ssm.lengths import check_lengths, without_padding
from harness.ssm.norm import Norm
from harness.ssm.pairs import PairHead
from harness.ssm.parameters import make_parameters
from harness.ssm.pooling import pool
from harness.ssm.precision import widened
from harness.ssm.seeded import embedding, generator, linear, split
from harness.ssm.timescale import LogUniform
from harness.ssm.windows import windows
from harness.tasks.task import Inputs


class Model(nn.Module):
    """Sequences to K outputs each, or at each position.

    Its draws come from three streams of the seed, "weights", "C" and "dt", and their order and number do not depend on
    the basis, so that arms of one seed start from the same encoder, mixing, head, C and uniforms behind dt.
    """

    def __init__(
        self,
        config: S4,
        basis: Basis,
        timescale: LogUniform,
        backend: Backend,
        inputs: Inputs,
        outputs: int,
        per_step: bool,
        seed: int,
    ) -> None:
        """Raises UsageError when the basis or the timescale does not go with the config."""
        super().__init__()
        config.check(basis, type(basis).__name__, timescale)
        H, N = config.d_model, config.d_state
        self.tokens, self.per_step, self.how = inputs.kind == "tokens", per_step, config.pool
        request = config.request(basis, length=1)

        weights = split(generator(seed, "weights"), 2 + config.n_layers)
        shape = (config.n_layers, H, N // 2) if timescale.per == "state" else (config.n_layers, H)
        u = torch.rand(shape, dtype=torch.float64, generator=generator(seed, "dt"))
        normals = generator(seed, "C")

        self.encoder = (embedding if self.tokens else linear)(inputs.size, H, weights[0])
        self.paired = inputs.towers == 2
        self.head = (PairHead if self.paired else linear)(H, outputs, weights[1])
        blocks = []
        for source, uniforms in zip(weights[2:], u, strict=True):
            C = torch.randn(request.channels, H, N, dtype=torch.float64, generator=normals)
            D = torch.randn(H, dtype=torch.get_default_dtype(), generator=source)
            parameters = make_parameters(config, basis, timescale, C, uniforms)
            layer = Layer(parameters, backend, request, D if config.skip else None)
            blocks.append(Block(config, layer, linear(H, 2 * H if config.glu else H, source)))
        self.blocks = nn.ModuleList(blocks)
        self.norm = Norm(config.norm if config.prenorm else "none", H, config.norm_over_padding)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(M, K), or (M, L, K) when `per_step`, of tokens (M, L) or real inputs (M, L, d), or of M pairs of these.

        Nothing behind a sequence's length changes its result; at positions behind it a per-step output is unspecified.
        """
        if self.paired:
            x, lengths = x.flatten(0, 1), None if lengths is None else lengths.flatten()
        if lengths is not None:
            check_lengths(lengths, x.shape[1])
        x = widened(self.encoder(without_padding(x, lengths)))
        for block in self.blocks:
            x = block(x, lengths)
        x = self.norm(x, lengths)
        return torch.as_tensor(self.head(x if self.per_step else pool(x, lengths, self.how)))

    @property
    def layers(self) -> list[Layer]:
        """The state space layers, first to last."""
        return [block.layer for block in self.blocks if isinstance(block, Block)]

    def ssm_parameters(self) -> dict[str, list[nn.Parameter]]:
        """The trained parameters behind "A", "B", "P" and "dt" of all layers; frozen ones are buffers, not here."""
        layers = [layer.ssm.trained() for layer in self.layers]
        return {group: [parameter for layer in layers for parameter in layer[group]] for group in ("A", "B", "P", "dt")}

    @torch.no_grad()
    def kernels(self, length: int) -> list[torch.Tensor]:
        """K (channels, H, L) float32 of every layer as it is now."""
        return [layer.kernel(length) for layer in self.layers]

    @torch.no_grad()
    def step_sizes(self) -> list[torch.Tensor]:
        """dt (H,) or (H, n) of every layer as it is now, float64."""
        return [layer.ssm.step_sizes() for layer in self.layers]

    def windows(self, length: int) -> dict[str, float]:
        """Quantiles of the windows 2/dt in steps, and the share longer than `length`."""
        return windows(self.step_sizes(), length)
