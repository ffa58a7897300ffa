"""Which seeds a test runs with: its own few, or the one that ``CHAOS_SEED`` names, to play a failure again."""

from __future__ import annotations

import os

import pytest


def seeded(count: int, first: int = 0) -> pytest.MarkDecorator:
    """Parametrises a test by ``seed``; the seed stands in the test's id."""
    named = os.environ.get("CHAOS_SEED")
    seeds = [int(named)] if named else list(range(first, first + count))
    return pytest.mark.parametrize("seed", seeds, ids=lambda seed: f"seed={seed}")
