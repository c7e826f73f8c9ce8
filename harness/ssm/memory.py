"""The least memory that training a model takes, in closed form and without torch. All of it in bytes of float32.

    parameters    5 P         weights, gradients, two moments of AdamW, the best weights so far
    activations   M L H k     for each block, kept for the backward pass: the norm's input 1, the spectrum of u over
                              2 L points 2, the input of GELU 1, of the linear layer 1, of GLU 2 where there is one

Legend: M sequences of a pass, L length, H features, P trained parameters. Kernels, work space and libraries are more.
"""

from __future__ import annotations

from harness.ssm.config import S4

FLOAT_BYTES = 4


def least_bytes(config: S4, parameters: int, sequences: int, length: int) -> int:
    """Bytes that no training of this model on `sequences` at once of this length can do without."""
    k = 3 + (config.norm != "none") + (config.activation == "gelu") + 2 * config.glu
    activations = config.n_layers * sequences * length * config.d_model * k
    return FLOAT_BYTES * (5 * parameters + activations)
