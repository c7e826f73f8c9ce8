"""The wrong backends are registered for the length of one test."""

from __future__ import annotations

import pytest
import throughput_fakes as fakes


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register(monkeypatch)
