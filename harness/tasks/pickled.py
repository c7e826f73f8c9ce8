"""Pickles of byte arrays, read without letting them run anything. Torch-free.

A pickle may name any function of any module and call it. The batches of CIFAR-10's Python version, which is the copy
that most people have, name three: NumPy's array, its dtype and what rebuilds an array. Here stand-ins take the place
of these three and every other name is refused, so that nothing outside this file is ever called; a stand-in only keeps
what was stored, and only unsigned bytes are accepted.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from harness.errors import UsageError


class _Kind:
    """In the place of numpy.dtype and numpy.ndarray."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        pass


class _Stored:
    """In the place of an array being rebuilt."""

    array: np.ndarray[Any, np.dtype[np.uint8]] | None = None

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if kind.arguments[0] not in (b"u1", "u1") or not isinstance(content, bytes):
            raise pickle.UnpicklingError("it holds an array that is not one of unsigned bytes")
        self.array = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


_STAND_INS: dict[tuple[str, str], type[Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Stored,
    ("numpy._core.multiarray", "_reconstruct"): _Stored,
    ("numpy", "ndarray"): _Kind,
    ("numpy", "dtype"): _Kind,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[Any]:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of images does")
        return _STAND_INS[module, name]


def unpickled(content: bytes, place: str, again: str) -> Any:
    """The dict, list, string, number or array of bytes that a pickle holds, with its strings as bytes.

    Raises UsageError beginning with `place` and ending with `again` where it holds or calls anything else.
    """
    try:
        found = _Reader(io.BytesIO(content), encoding="bytes").load()
    except Exception as wrong:
        # A damaged pickle fails in any way.
        raise UsageError(f"{place} cannot be read as a batch ({wrong}). {again}") from wrong
    if isinstance(found, dict):
        return {key: value.array if isinstance(value, _Stored) else value for key, value in found.items()}
    return found
