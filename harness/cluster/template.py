"""Templates whose every value is quoted for the language it is put into.

A template is the launch file itself with {{ names }} in it. A string is quoted on its way in, by the rule of the
language; only numbers and words that `words` has checked stand there as they are. So a path or a setting that holds
quotes, dollars or line ends stays one value.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

from harness.cluster.words import Word

Quote = Callable[[str], str]
shell: Quote = shlex.quote


def yaml(text: str) -> str:
    """A double-quoted YAML scalar (YAML 1.2, 7.3.1): that of JSON, with what cannot be printed written out."""
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in json.dumps(text, ensure_ascii=False))


def yaml_block(text: str, indent: int) -> Word:
    """Text as a literal block below a key indented by `indent`, as written; quoted where a block cannot hold it."""
    if not text.strip() or not all(one.isprintable() or one in "\n\t" for one in text):
        return Word(yaml(text))
    ends = "-" if not text.endswith("\n") else "+" if text.endswith("\n\n") else ""
    margin = " " * (indent + 2)
    lines = [margin + line if line else "" for line in text.removesuffix("\n").split("\n")]
    return Word("\n".join([f"|2{ends}", *lines]))


def exec_form(text: str) -> str:
    """A string of a Dockerfile instruction's JSON array, in which nothing is expanded."""
    return json.dumps(text)


def filled(template: str, quote: Quote, /, **values: Any) -> str:
    """The template with the values in it."""
    import jinja2

    def put(value: object) -> object:
        if isinstance(value, Word | int | float):
            return value
        if isinstance(value, str):
            return quote(value)
        raise TypeError(f"{value!r} in the template {template}")

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.cluster"),
        undefined=jinja2.StrictUndefined,
        finalize=put,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
