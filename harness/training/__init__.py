"""Training: the parameters of a training run by name."""

from harness.registry import Table

TRAININGS: Table = {"adamw": "harness.training.config:AdamW"}
