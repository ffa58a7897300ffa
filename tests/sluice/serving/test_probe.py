"""The requests to a live endpoint, and the comparison of its answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.clients import OneClient, offline
from tests.sluice.serving.live import Live
from tests.sluice.toy import TOY

from sluice.errors import DeploymentFailed
from sluice.serving.probe import invoke, probe
from sluice.training.models import Model
from sluice.workspace import Workspace


def test_every_row_gets_its_score(live: Live) -> None:
    rows = [f"{n % 7},{n % 3}" for n in range(1201)]

    scores = invoke(live.workspace, live.endpoint, live.model, rows)

    assert scores.shape == (1201,)
    assert scores == pytest.approx(live.predictions(rows))
    assert invoke(live.workspace, live.endpoint, live.model, rows[:1]).tolist() == scores[:1].tolist()
    assert invoke(live.workspace, live.endpoint, live.model, []).tolist() == []


def test_endpoint_of_another_model_is_recognized_by_its_answers(live: Live) -> None:
    """The wrong model is InService, has the right features, and answers every row."""
    rows = [f"{a / 10},{b / 10}" for a in range(-9, 10) for b in range(-9, 10)]
    expected = np.array(live.predictions(rows))

    probe(live.workspace, live.endpoint, live.model, rows, expected)
    with pytest.raises(DeploymentFailed, match=r"answers only \d+% of 361 rows as the model of .*another model serves"):
        probe(live.workspace, live.wrong_endpoint, live.model, rows, expected)


class Answers:
    """An endpoint that answers each call with this body, or with one score for each row."""

    def __init__(self, body: bytes | None = None) -> None:
        self.body = body
        self.bodies: list[bytes] = []

    def invoke_endpoint(self, **request: Any) -> dict[str, object]:
        self.bodies.append(request["Body"])
        return {"Body": self}

    def read(self) -> bytes:
        if self.body is not None:
            return self.body
        return b"\n".join(b"0.5" for _ in self.bodies[-1].splitlines())


def asking(answers: Answers) -> Workspace:
    return replace(offline(TOY), aws=OneClient(only=answers))


@pytest.mark.parametrize("body", [b"", b"0.5", b"0.5\n0.5\n0.5", b"0.5\nhigh", b"[0.5, 0.5]", b"nan\nnan", b"0.5\ninf"])
def test_answer_that_is_not_one_number_a_row_is_another_kind_of_model(live: Live, body: bytes) -> None:
    with pytest.raises(DeploymentFailed, match=r"e answered 2 rows of Binary\(\) with .*another kind of model"):
        invoke(asking(Answers(body)), "e", live.model, ["1,2", "3,4"])


def test_wide_rows_are_sent_in_calls_that_sagemaker_takes(live: Live) -> None:
    """A call holds 6 MiB (API reference, InvokeEndpoint)."""
    answers, row = Answers(), ",".join(["0.123456789"] * 30_000)

    scores = invoke(asking(answers), "e", live.model, [row] * 40)

    assert len(scores) == 40
    assert max(map(len, answers.bodies)) <= 6 * 1024**2
    assert len(answers.bodies) == 3
    assert [line for body in answers.bodies for line in body.decode().splitlines()] == [row] * 40


def test_probe_asks_a_bounded_number_of_rows_evenly_spread(live: Live) -> None:
    answers, rows = Answers(), [f"{n}" for n in range(100_000)]

    probe(asking(answers), "e", live.model, rows, np.full(100_000, 0.5))

    asked = [int(line) for body in answers.bodies for line in body.decode().splitlines()]
    assert (len(asked), asked[0], asked[-1]) == (5_000, 0, 99_999)
    assert max(np.diff(asked)) <= 21


def test_model_of_several_classes_answers_a_vector(live: Live) -> None:
    from sluice.declaration import Gate, Multiclass, XGBoost

    training = replace(
        TOY.training,
        problem=Multiclass(3),
        candidates=(XGBoost({"objective": "multi:softprob", "num_class": 3, "num_round": 1}),),
        gate=Gate("accuracy", at_least=0.5),
    )
    workspace = asking(Answers(b"0.5,0.25,0.25\n0.1,0.8,0.1"))
    workspace = replace(workspace, pipeline=replace(TOY, training=training))
    model: Model = live.model

    assert invoke(workspace, "e", model, ["1,2", "3,4"]).tolist() == [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]
    with pytest.raises(DeploymentFailed, match="answers only 50% of 2 rows"):
        probe(workspace, "e", model, ["1,2", "3,4"], np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))


class Echo:
    """An endpoint whose answer for a row is the row's first column."""

    def invoke_endpoint(self, **request: Any) -> dict[str, object]:
        self.body = b"\n".join(line.partition(b",")[0] for line in request["Body"].splitlines())
        return {"Body": self}

    def read(self) -> bytes:
        return self.body


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1.0, 1e6])
def test_unit_of_the_answers_does_not_decide_whether_they_are_the_same(live: Live, unit: float) -> None:
    """A label may be in metres or in nanometres, and a positive may be one in a million."""
    expected = np.linspace(0.5, 2, 200) * unit
    asked = replace(offline(TOY), aws=OneClient(only=Echo()))

    probe(asked, "e", live.model, [f"{value * (1 + 1e-6)!r},1" for value in expected.tolist()], expected)
    with pytest.raises(DeploymentFailed, match="another model serves"):
        probe(asked, "e", live.model, [f"{value * 1.01!r},1" for value in expected.tolist()], expected)
