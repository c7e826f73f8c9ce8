"""How far a long preparation is, for whoever listens; silent where nobody does. Torch-free."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
Listener = Callable[[str, int, int | None], None]
"""Told what is being done, how many are done, and of how many where that is known."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` of every `followed` iteration inside."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def told(what: str, done: int, total: int | None = None) -> None:
    """Tell whoever listens."""
    if (listener := _LISTENER.get()) is not None:
        listener(what, done, total)


def followed(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """The items, with the listener told of each one taken."""
    for done, item in enumerate(items):
        told(what, done, total)
        yield item
