"""What a live endpoint is asked, and what its answers are worth."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sluice.serving.live import Live

from sluice.errors import DeploymentFailed
from sluice.serving.probe import auc, invoke, probe

SCORES = st.one_of(st.floats(0, 1), st.integers(0, 3).map(lambda n: n / 3))  # few values: ties


def by_definition(labels: list[int], scores: list[float]) -> float:
    """The share of pairs of a positive and a negative in which the positive scores higher; a tie counts half."""
    positives = [score for label, score in zip(labels, scores, strict=True) if label == 1]
    negatives = [score for label, score in zip(labels, scores, strict=True) if label == 0]
    wins = sum(
        Fraction(1) if one > other else Fraction(1, 2) if one == other else Fraction(0)
        for one, other in product(positives, negatives)
    )
    return float(wins / (len(positives) * len(negatives))) if positives and negatives else math.nan


@given(st.lists(st.tuples(st.integers(0, 1), SCORES), max_size=40))
def test_the_auc_is_the_share_of_pairs_in_their_right_order(rows: list[tuple[int, float]]) -> None:
    labels, scores = [label for label, _ in rows], [score for _, score in rows]

    found = auc(np.array(labels, dtype=float), np.array(scores, dtype=float))

    expected = by_definition(labels, scores)
    assert (math.isnan(found) and math.isnan(expected)) or math.isclose(found, expected, abs_tol=1e-12)


def test_of_one_class_there_is_no_auc() -> None:
    assert math.isnan(auc(np.array([1.0, 1.0]), np.array([0.1, 0.2])))
    assert math.isnan(auc(np.array([]), np.array([])))


def test_every_row_gets_its_score_over_several_calls(live: Live) -> None:
    rows = [f"{n % 7},{n % 3}" for n in range(1201)]

    scores = invoke(live.runtime, live.endpoint, rows)

    assert len(scores) == 1201
    assert scores == [pytest.approx(score) for score in live.predictions(rows)]
    assert invoke(live.runtime, live.endpoint, rows[:1]) == scores[:1]
    assert invoke(live.runtime, live.endpoint, []) == []


def test_the_model_that_trained_answers_as_it_was_trained(live: Live) -> None:
    probed = probe(live.workspace.lake, live.runtime, live.endpoint, live.fingerprint, live.validation_auc)

    assert probed.validation_auc == pytest.approx(live.validation_auc, abs=1e-4)
    assert probed.test_auc == pytest.approx(live.auc_of("test"), abs=1e-9)
    assert 0.5 < probed.test_auc <= 1


def test_another_model_is_told_by_its_answers(live: Live) -> None:
    """The wrong model is InService, has the right features, and answers every row."""
    with pytest.raises(DeploymentFailed, match=r"reaches AUC 0\.\d+ on the validation rows, .*another model answers"):
        probe(live.workspace.lake, live.runtime, live.wrong_endpoint, live.fingerprint, live.validation_auc)


class Answers:
    """An endpoint that answers with this."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def invoke_endpoint(self, **_: object) -> dict[str, object]:
        return {"Body": self}

    def read(self) -> bytes:
        return self.body


@pytest.mark.parametrize("body", [b"", b"0.5", b"0.5\n0.5\n0.5", b"0.5\nhigh", b"[0.5, 0.5]", b"nan\nnan", b"0.5\ninf"])
def test_an_answer_that_is_not_one_number_a_row_is_another_kind_of_model(body: bytes) -> None:
    with pytest.raises(DeploymentFailed, match=r"endpoint e answered 2 rows with .*it serves another kind of model"):
        invoke(Answers(body), "e", ["1,2", "3,4"])  # type: ignore[arg-type]
