"""The one contrast that a study is for, named before it runs: `"dt[1]: legt - legs"`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import UsageError, unknown


@dataclass(frozen=True)
class Contrast:
    """Level `first` minus level `second` of `axis`, within the named levels of other axes."""

    axis: str
    first: str
    second: str
    within: Mapping[str, str] = field(default_factory=dict)


def parse(text: object, levels: Mapping[str, Sequence[str]]) -> Contrast:
    """Read `"axis[i], axis[j]: a - b"`; the part before the colon is optional, i counts from 0.

    Raises UsageError when an axis, an index or a level does not exist.
    """
    if not isinstance(text, str):
        raise UsageError(f'primary is {text!r}; write it as "axis[index]: a - b".')
    condition, colon, difference = text.rpartition(":")
    within: dict[str, str] = {}
    for part in condition.split(",") if colon else ():
        match = re.fullmatch(r"\s*([\w.]+)\[(\d+)\]\s*", part)
        if match is None:
            raise UsageError(f"primary = '{text}': '{part.strip()}' is not of the form axis[index], such as dt[1].")
        axis, index = match[1], int(match[2])
        if axis not in levels:
            raise unknown("axis in primary", axis, levels)
        if index >= len(levels[axis]):
            raise UsageError(f"primary = '{text}': {axis} has {len(levels[axis])} levels, counted from 0.")
        within[axis] = levels[axis][index]
    names = [name.strip() for name in re.split(r"\s-\s", difference)]
    if len(names) != 2:
        raise UsageError(f"primary = '{text}': write the contrast as 'a - b', with spaces around the minus.")
    first, second = names
    if first == second:
        raise UsageError(f"primary = '{text}': a level minus itself is 0; name two levels.")
    for axis, labels in levels.items():
        if axis not in within and first in labels and second in labels:
            return Contrast(axis, first, second, within)
    every = [label for axis, labels in levels.items() if axis not in within for label in labels]
    wrong = next((name for name in names if name not in every), None)
    if wrong is not None:
        raise unknown("level in primary", wrong, every)
    raise UsageError(f"primary = '{text}': '{first}' and '{second}' are not levels of one axis.")
