"""The interval of the bootstrap has about the width that theory gives it."""

from __future__ import annotations

import numpy as np
import pytest

from sluice.evaluation import bootstrap
from sluice.evaluation.bootstrap import interval, resampled
from sluice.evaluation.metrics import measure


def test_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    """The accuracy is a mean of independent rows: its 95 % interval is 1.96 standard errors to each side."""
    random = np.random.default_rng(3)
    labels = (random.uniform(size=4000) < 0.5).astype(float)
    answers = np.where(random.uniform(size=4000) < 0.8, labels, 1 - labels)

    low, high = interval(resampled(["accuracy"], labels, {"a": answers})["a"]["accuracy"])

    reached = float((labels == answers).mean())
    error = 1.96 * np.sqrt(reached * (1 - reached) / 4000)
    assert (reached - low, high - reached) == (pytest.approx(error, rel=0.25), pytest.approx(error, rel=0.25))


@pytest.mark.slow
def test_draws_are_the_same_for_all_models_and_each_time() -> None:
    labels, answers = np.array([0.0, 1, 1, 0, 1, 0] * 20), np.linspace(0, 1, 120)

    once = resampled(["auc", "log_loss"], labels, {"a": answers, "b": answers})
    again = resampled(["auc", "log_loss"], labels, {"a": answers})

    for metric in ("auc", "log_loss"):
        assert once["a"][metric].tolist() == once["b"][metric].tolist() == again["a"][metric].tolist()


def test_draws_that_can_not_be_measured_are_left_out() -> None:
    assert interval(np.array([np.nan, 1.0, 1.0, np.nan])) == (1.0, 1.0)
    assert all(np.isnan(interval(np.array([np.nan]))))


def test_whole_groups_are_drawn() -> None:
    """As if the rows of the drawn groups, each a group of its own, were measured again."""
    random = np.random.default_rng(8)
    groups = random.permutation(np.repeat(np.arange(12), 5))
    labels, scores = random.integers(0, 3, 60).astype(float), random.normal(size=60)
    labels[groups == 4] = 2  # a group that can't be judged is drawn like any other

    found = resampled(["ndcg"], labels, {"a": scores}, groups)["a"]["ndcg"]

    again = np.random.default_rng(bootstrap._SEED).integers(0, 12, size=(len(found), 12), dtype=np.int32)
    for value, drawn in zip(found, again, strict=True):
        rows = [np.flatnonzero(groups == group) for group in drawn]
        every = np.concatenate(rows)
        numbers = np.repeat(np.arange(12), [len(some) for some in rows])
        assert value == pytest.approx(measure("ndcg", labels[every], scores[every], numbers), abs=1e-12)
    assert np.std(found) > 0.01
