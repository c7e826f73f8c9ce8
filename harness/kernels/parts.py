"""Parts of a training step by name, for a profile: `with part("kernel"): ...` marks what is done inside.

Nothing is marked, and nothing is paid, but within `marking()`. The innermost mark counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch.profiler import record_function

PREFIX = "part: "
_NOTHING = nullcontext()
_marking = False


def part(name: str) -> AbstractContextManager[object]:
    """A range of the profiler with this name, or nothing."""
    return record_function(PREFIX + name) if _marking else _NOTHING


@contextmanager
def marking() -> Iterator[None]:
    """Parts are marked inside."""
    global _marking
    _marking = True
    try:
        yield
    finally:
        _marking = False
