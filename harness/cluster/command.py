"""The `harness run` that a launch file starts, as a list of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from harness.errors import UsageError


@dataclass(frozen=True)
class Command:
    """What the user would give to `harness run` on one machine."""

    file: str
    results: str
    settings: Sequence[str] = ()
    filters: Sequence[str] = ()
    smoke: bool = False
    plugins: Sequence[str] = ()
    data_root: str | None = None
    tracking_uri: str | None = None
    storage: str | None = None

    def words(self, *more: str) -> list[str]:
        """The command, `more` at its end. Raises UsageError where the tracking URI or the storage holds a password."""
        if self.storage and _secret(self.storage):
            raise UsageError(
                "--storage has a name or a password in it, which a launch file must not; give credentials in the "
                "environment where the sweep runs."
            )
        if self.tracking_uri and _secret(self.tracking_uri):
            raise UsageError(
                "--tracking-uri holds a password, which a launch file must not; set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD where the sweep runs."
            )
        made = ["harness", "run", self.file, "--results", self.results]
        for option, values in (("--set", self.settings), ("--only", self.filters), ("--plugin", self.plugins)):
            made += [word for value in values for word in (option, value)]
        given = (("--data-root", self.data_root), ("--tracking-uri", self.tracking_uri), ("--storage", self.storage))
        made += [word for option, value in given if value for word in (option, value)]
        return [*made, *(["--smoke"] if self.smoke else []), *more]


def _secret(uri: str) -> bool:
    """Whether a URI has a password in it, before its host or among its options."""
    parts = urlsplit(uri)
    named = any("password" in name or "secret" in name for name in map(str.lower, parse_qs(parts.query)))
    return parts.password is not None or named
