"""Throughput: the parameters of a timing by name."""

from harness.registry import Table

TIMERS: Table = {
    "kernel": "harness.throughput.config:KernelTimer",
    "layer": "harness.throughput.config:LayerTimer",
    "step": "harness.throughput.config:StepTimer",
    "recipe": "harness.throughput.recipe:RecipeTimer",
}
