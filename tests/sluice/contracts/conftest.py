"""Fixtures of the contracts' tests."""

from __future__ import annotations

import pytest

from sluice.contracts import reading


@pytest.fixture
def blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read blocks as such however few bodies they have."""
    monkeypatch.setattr(reading, "_FEW", 1)
