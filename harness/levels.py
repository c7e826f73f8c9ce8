"""What stands under [compare]: axes and their levels, and cases, each of which sets several axes at once.

    [compare]
    timer.length = [1024, 4096]                                    # one parameter of one axis
    basis        = ["legs", "legt"]                                # a whole axis
    case         = [{label = "S4", basis = "legs", timer = {structure = "dplr"}}, ...]

A case's table is merged over what [fixed] says of that axis, key by key; a name replaces it. Cases come first, so that
other axes are crossed with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.ablation import Ablation
from harness.choices import Axis, located
from harness.errors import unknown

CASE = "case"


def compared_axes(ablation: Ablation, axes: Mapping[str, Axis]) -> dict[str, list[Any]]:
    """Path to its levels, cases first; `model.d_state` may be dotted or nested.

    Raises UsageError for an axis that does not exist, is empty or no list, or is set twice.
    """
    found = dict(_walked(ablation, axes, "", ablation.compare))
    for path in found:
        if "." not in path and path in ablation.fixed:
            raise ablation.wrong(f"{path} stands under [fixed] and under [compare]; keep one.", "compare", path)
    if CASE not in found:
        return found
    for level in found[CASE]:
        _check_case(ablation, axes, level, found)
    return {CASE: found[CASE], **found}


def _walked(
    ablation: Ablation, axes: Mapping[str, Axis], prefix: str, table: Mapping[str, Any]
) -> Iterator[tuple[str, list[Any]]]:
    for key, value in table.items():
        path = f"{prefix}{key}"
        if path == "primary":
            continue
        if path.partition(".")[0] not in (*axes, CASE):
            raise located(ablation, unknown("axis", path.partition(".")[0], axes), "compare", path)
        if isinstance(value, dict) and key != CASE:
            yield from _walked(ablation, axes, f"{path}.", value)
        elif not isinstance(value, list):
            raise ablation.wrong(f"compare.{path} is {value!r}; give a list of levels.", "compare", path)
        elif not value:
            raise ablation.wrong(f"compare.{path} is empty; give at least one level.", "compare", path)
        else:
            yield path, value


def _check_case(ablation: Ablation, axes: Mapping[str, Axis], level: Any, found: Mapping[str, list[Any]]) -> None:
    """Raise UsageError for a case that is no table, sets nothing or no axis, or sets what another axis compares."""
    if not isinstance(level, dict) or not set(level) - {"label"}:
        raise ablation.wrong(
            f"compare.case has {level!r}; write each case as a table of axes, "
            f'such as {{label = "S4", basis = "legs"}}.',
            "compare",
            CASE,
        )
    for name, value in level.items():
        if name == "label":
            continue
        if name not in axes:
            problem = unknown(f"axis in compare.case, '{label(CASE, level)}':", name, axes)
            raise located(ablation, problem, "compare", CASE, level.get("label"))
        clash = [path for path in found if path == name or (path.startswith(f"{name}.") and _sets(value, path))]
        if clash:
            raise ablation.wrong(
                f"{clash[0]} stands under [compare] and in the case '{label(CASE, level)}'; keep one.", "compare", CASE
            )


def _sets(value: Any, path: str) -> bool:
    return isinstance(value, dict) and path.partition(".")[2] in value


def chosen_by_cases(compared: Mapping[str, list[Any]]) -> set[str]:
    """The axes that every case sets."""
    return set.intersection(*(set(level) for level in compared[CASE])) if CASE in compared else set()


def axes_of_cases(ablation: Ablation) -> list[str]:
    """The axes that any case sets."""
    return sorted({name for level in ablation.compare.get(CASE, []) for name in level} - {"label"})


def settings_of(path: str, level: Any) -> Iterator[tuple[str, Any]]:
    """(axis, what is merged over it) for a level of the axis, parameter or case at `path`."""
    if path == CASE:
        yield from ((name, value) for name, value in level.items() if name != "label")
    else:
        head, _, parameter = path.partition(".")
        yield head, {parameter: level} if parameter else level


def merged(base: Any, change: Any) -> Any:
    """`change` over `base`, key by key where it is a table over a table or over a name; else `change` itself."""
    if not isinstance(change, dict) or base is None:
        return change
    return {**({"name": base} if isinstance(base, str) else dict(base)), **change}


def label(path: str, level: Any) -> str:
    """A short name of one level: "legs", "0.001..0.1", "d_state=64, n_layers=2"."""
    if not isinstance(level, dict):
        return str(level)
    if "label" in level:
        return str(level["label"])
    if path == CASE:
        return ", ".join(label(name, value) for name, value in level.items())
    if set(level) == {"min", "max"}:
        return f"{level['min']}" if level["min"] == level["max"] else f"{level['min']}..{level['max']}"
    rest = ", ".join(f"{key}={value}" for key, value in level.items() if key != "name")
    name = str(level.get("name", ""))
    return f"{name}({rest})" if name and rest else name or rest
