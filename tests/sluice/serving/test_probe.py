"""The requests of the probe of a live endpoint, and its verdict on the answers."""

from __future__ import annotations

import pytest
from tests.clients import OneClient
from tests.sluice.serving.live import Live
from tests.sluice.toy import TOY

from sluice.errors import DeploymentFailed
from sluice.evaluation.judge import judge
from sluice.serving.probe import invoke, probe


def test_every_row_gets_its_score_over_several_calls(live: Live) -> None:
    rows = [f"{n % 7},{n % 3}" for n in range(1201)]

    scores = invoke(live.workspace.aws, TOY, live.endpoint, rows)

    assert len(scores) == 1201
    assert scores == [pytest.approx(score) for score in live.predictions(rows)]
    assert invoke(live.workspace.aws, TOY, live.endpoint, rows[:1]) == scores[:1]
    assert invoke(live.workspace.aws, TOY, live.endpoint, []) == []


def test_endpoint_of_the_trained_model_answers_as_its_artefact(live: Live) -> None:
    judged = {name: judge(live.workspace, live.job, live.fingerprint, name) for name in ("validation", "test")}

    assert judged["validation"].scores == pytest.approx(live.predictions(judged["validation"].rows.features))
    assert probe(live.workspace, live.endpoint, judged["validation"]) == pytest.approx(live.validation_auc, abs=1e-4)
    assert probe(live.workspace, live.endpoint, judged["test"]) == pytest.approx(live.auc_of("test"), abs=1e-9)


def test_another_model_is_recognized_by_its_answers(live: Live) -> None:
    """The wrong model is InService, has the right features, and answers every row."""
    judged = judge(live.workspace, live.job, live.fingerprint, "validation")

    with pytest.raises(DeploymentFailed, match=r"scores only \d+% of \d+ rows as the artefact .*another model answers"):
        probe(live.workspace, live.wrong_endpoint, judged)


class Answers:
    """An endpoint that answers with this body."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def invoke_endpoint(self, **_: object) -> dict[str, object]:
        return {"Body": self}

    def read(self) -> bytes:
        return self.body


@pytest.mark.parametrize("body", [b"", b"0.5", b"0.5\n0.5\n0.5", b"0.5\nhigh", b"[0.5, 0.5]", b"nan\nnan", b"0.5\ninf"])
def test_answer_that_is_not_one_number_a_row_is_another_kind_of_model(body: bytes) -> None:
    with pytest.raises(DeploymentFailed, match=r"endpoint e answered 2 rows with .*it serves another kind of model"):
        invoke(OneClient(only=Answers(body)), TOY, "e", ["1,2", "3,4"])
