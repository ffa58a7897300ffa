"""Which seeds a test runs with: its own few, or the one that ``CHAOS_SEED`` names, to repeat a failure."""

from __future__ import annotations

import os

import pytest


def seeded(count: int, first: int = 0) -> pytest.MarkDecorator:
    """Parametrise a test by ``seed``; the seed is part of the test's id."""
    named = os.environ.get("CHAOS_SEED")
    seeds = [int(named)] if named else list(range(first, first + count))
    return pytest.mark.parametrize("seed", seeds, ids=lambda seed: f"seed={seed}")
