"""The wrong backends are registered for the length of one test."""

from __future__ import annotations

import pytest
import throughput_fakes as fakes

from harness.throughput import ceilings


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register(monkeypatch)
    # The ceilings of a real machine take a second; these take none.
    monkeypatch.setitem(ceilings.SIDE, "cpu", 8)
    monkeypatch.setitem(ceilings.COPIED, "cpu", 64)
