"""Presets: published recipes as data, one TOML file for each, task by task."""

PRESETS = ("fair", "httyh-v3", "repo-v4", "s4-v1", "ablation-small")
