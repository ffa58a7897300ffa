"""The redrive DAG, by ``airflow dags test``: it shows by default, sends on request, and refuses in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.dags.airflow_home import AirflowHome

from sluice.aws.resources import Resources

DAY = "2013-01-01"


@pytest.fixture
def dead_letters(cloud: Cloud, flights: Resources) -> Iterator[Any]:
    """Three dead letters of one aircraft; the queues are empty again afterwards."""
    sqs, queue, dead = (
        cloud.client("sqs"),
        flights.made_for("queues", "events"),
        flights.made_for("dead-letter-queues", "events"),
    )
    for n in range(3):
        sqs.send_message(
            QueueUrl=dead, MessageBody=json.dumps({"id": f"e{n}"}), MessageGroupId="N1", MessageDeduplicationId=f"d{n}"
        )
    yield sqs
    for url in (queue, dead):
        sqs.purge_queue(QueueUrl=url)


@pytest.mark.slow
def test_dead_letters_are_shown_by_default_and_sent_back_on_request(
    airflow_home: AirflowHome, flights: Resources, dead_letters: Any
) -> None:
    def home() -> list[str]:
        got = dead_letters.receive_message(QueueUrl=flights.made_for("queues", "events"), MaxNumberOfMessages=10)
        return [json.loads(message["Body"])["id"] for message in got.get("Messages", [])]

    shown = airflow_home.dags_test("flights_redrive", DAY, where="dead_letters").succeeded()

    assert "where='dead_letters', reason='received too often, never deleted', count=3" in shown.output
    assert home() == []

    sent = airflow_home.dags_test("flights_redrive", DAY, where="dead_letters", dry_run=False).succeeded()

    assert "where='dead_letters', sent=3, already=0" in sent.output
    assert home() == ["e0", "e1", "e2"]
    returned = [json.loads(value) for dag, _, value in airflow_home.xcoms() if dag == "flights_redrive"]
    assert {"events/dead_letters": 3} in returned


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"source": "weather"}, "pipeline flights has no source of events 'weather'; it has events"),
        ({"reason": "not_json"}, "select quarantined events only; set where to quarantine"),
        ({"where": "quarantine", "from": "2013-01-02", "to": "2013-01-01"}, "ends before it begins; swap the two"),
    ],
)
def test_invalid_redrive_is_refused_in_one_line(
    airflow_home: AirflowHome, flights: Resources, params: dict[str, Any], message: str
) -> None:
    failed = airflow_home.dags_test("flights_redrive", DAY, **params)

    assert failed.status != 0
    reasons = set(re.findall(r"^[\w.]*AirflowFailException: (.+)$", failed.output, flags=re.MULTILINE))
    assert len(reasons) == 1, failed.output
    assert message in reasons.pop()
