"""A message on which every drain dies takes no other message with it to the dead-letter queue."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from tests.chaos.conftest import MakeTrial
from tests.chaos.killing import KILLED, Start
from tests.draining import backlog
from tests.sluice.lake_contents import rows_of

from sluice.sending.lanes import Event

EVENTS, GROUPS, MAX_RECEIVES = 10_000, 50, 5
POISON = EVENTS // 2


def event(number: int) -> Event:
    body = {"id": f"event-{number}", "event_time": "2013-01-01T07:00:00+00:00"}
    text = json.dumps(body if number != POISON else {**body, "is": "poison"})
    return Event(id=f"event-{number}", group=f"group-{number % GROUPS}", event_time=body["event_time"], body=text)


@pytest.mark.chaos
def test_five_drains_die_of_one_message_in_ten_thousand(trial: MakeTrial, start: Start) -> None:
    here = trial(visibility_seconds=4)
    dead = here.sqs.create_queue(QueueName=f"{here.bucket}-dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    arn = here.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES})
    here.sqs.set_queue_attributes(QueueUrl=here.queue, Attributes={"RedrivePolicy": policy})
    here.send(event(number) for number in range(EVENTS))

    ends = []
    while backlog(here.sqs, here.queue):
        ends.append(start(here, "die").wait(300))

    assert set(ends) == {KILLED, 0}
    assert ends.count(KILLED) == MAX_RECEIVES
    letters = here.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(letter["Body"])["id"] for letter in letters] == [f"event-{POISON}"]
    assert backlog(here.sqs, dead) == 1
    rows = rows_of(here.lake(), "raw/events", "dt=2013-01-01")
    landed: dict[str, dict[str, None]] = defaultdict(dict)  # each once, in the order of the group
    for row in sorted(rows, key=lambda row: int(row["sequence_number"])):
        landed[row["group"]][row["event_id"]] = None
    sent: dict[str, list[str]] = defaultdict(list)
    for number in range(EVENTS):
        if number != POISON:
            sent[f"group-{number % GROUPS}"].append(f"event-{number}")
    assert {group: list(ids) for group, ids in landed.items()} == sent
