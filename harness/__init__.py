"""Which HiPPO initialisation, which timescale range and which kernel should a state space model use, and how sure?"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load_results"]


def __getattr__(name: str) -> Any:
    if name == "load_results":
        from harness.report.frame import load_results

        return load_results
    raise AttributeError(f"module 'harness' has no attribute '{name}'")
