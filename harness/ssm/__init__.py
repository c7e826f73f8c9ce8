"""State space models: the model's and the timescale's parameters by name."""

from harness.registry import Table

MODELS: Table = {"s4": "harness.ssm.config:S4"}
TIMESCALES: Table = {"log_uniform": "harness.ssm.timescale:LogUniform"}
