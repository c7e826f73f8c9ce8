"""Text from records made harmless for Markdown, LaTeX and spreadsheets (HTML is escaped by Jinja itself)."""

from __future__ import annotations

import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#$&])")
_LINE_START = re.compile(r"^([-+=]|\d+(?=[.)]))")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "∞": r"$\infty$",
    "✗": r"$\times$",
    "–": "--",
    "·": r"$\cdot$",
    "Δ": r"$\Delta$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
}


def one_line(text: str) -> str:
    """The text without control and direction characters, all white space made single blanks."""
    blank = re.sub(r"\s+", " ", text)
    return "".join(one for one in blank if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co")).strip()


def block(text: str) -> str:
    """As `one_line`, with the lines kept."""
    return "\n".join(re.sub(r"\s+$", "", _printable(line)) for line in text.replace("\t", "    ").splitlines())


def _printable(line: str) -> str:
    return "".join(one for one in line if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co"))


def markdown(text: str) -> str:
    """One line that Markdown prints as it stands: no markup, no HTML, no formula, no list."""
    escaped = (
        _MARKDOWN.sub(r"\\\1", one_line(text)).replace(r"\<", "&lt;").replace(r"\>", "&gt;").replace(r"\&", "&amp;")
    )
    # A code host turns a bare address into a link; a zero-width space would be copied along, an entity is not.
    escaped = re.sub(r"(?i)(https?|ftp|javascript|data):", r"\1&#58;", escaped).replace("www.", "www&#46;")
    return (
        _LINE_START.sub(r"\\\1", escaped) if not escaped[:1].isdigit() else re.sub(r"^(\d+)([.)] )", r"\1\\\2", escaped)
    )


def fence(text: str) -> str:
    """A fenced listing whose fence no line of the text can close."""
    body = block(text)
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{body}\n{ticks}"


def latex(text: str) -> str:
    """One line for a LaTeX table; a character that the usual fonts lack becomes a question mark."""
    return "".join(_LATEX.get(one) or (one if ord(one) < 0x250 else "?") for one in one_line(text))


def spreadsheet(text: str) -> str:
    """One line that no spreadsheet takes for a formula."""
    plain = one_line(text)
    return "'" + plain if plain[:1] in ("=", "+", "-", "@") and plain not in ("-", "+") else plain
