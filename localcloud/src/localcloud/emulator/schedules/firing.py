"""Fires schedules: calls their targets as any program does, so that what a target does is stored and shown as usual."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from ministack import app
from ministack.services import eventbridge, scheduler

from localcloud.emulator.clients import Client
from localcloud.emulator.schedules import occurrences
from localcloud.emulator.schedules.operations import checked

_SECONDS_BETWEEN_LOOKS = 0.5

logger = logging.getLogger("schedules")


def install(client: Client) -> None:
    """Replace the emulator's scheduler, and turn off its rules, which nothing uses.

    Args:
        client: Returns clients of this cloud.
    """
    app.SERVICE_HANDLERS["scheduler"] = checked(app.SERVICE_HANDLERS["scheduler"])
    firing = Firing(client)
    scheduler.start_scheduler = firing.start
    eventbridge.start_scheduler = lambda: None


class Firing:
    """Looks for schedules that are due, twice a second. A time that passes while the cloud is down is missed.

    Args:
        client: Returns clients of this cloud.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._looked = self._now()

    def start(self) -> None:
        """Start to look."""
        self._looked = self._now()
        threading.Thread(target=self._run, name="schedules", daemon=True).start()

    def look(self) -> None:
        """Fire what became due since the last look."""
        after, self._looked = self._looked, self._now()
        for (_, region, _), schedule in list(scheduler._schedules._data.items()):
            due = occurrences.last_due(schedule, after, self._looked)
            if due is not None:
                threading.Thread(
                    target=self._fire, args=(dict(schedule), region, due), name="schedule", daemon=True
                ).start()

    def _run(self) -> None:
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            try:
                self.look()
            except Exception:
                logger.exception("a look for schedules that are due failed; the next one is in half a second")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _fire(self, schedule: Mapping[str, Any], region: str, due: datetime) -> None:
        target = schedule["Target"]
        text = _input(schedule, region, due)
        try:
            _call(self._client, target["Arn"], text)
        except (BotoCoreError, ClientError) as error:
            logger.error("schedule %s: its target %s was not called: %s", schedule["Arn"], target["Arn"], error)
            self._send_dead_letter(schedule, text, error)
        if schedule.get("ActionAfterCompletion") == "DELETE" and occurrences.is_over(schedule, self._now()):
            names = {"Name": schedule["Name"], "GroupName": schedule["GroupName"]}
            self._client("scheduler", region).delete_schedule(**names)

    def _send_dead_letter(self, schedule: Mapping[str, Any], text: str, error: Exception) -> None:
        queue = (schedule["Target"].get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        found = {"ERROR_MESSAGE": str(error), "SCHEDULE_ARN": schedule["Arn"], "TARGET_ARN": schedule["Target"]["Arn"]}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in found.items()}
        try:
            _send_message(self._client, queue, text, MessageAttributes=attributes)
        except (BotoCoreError, ClientError) as second:
            logger.error("schedule %s: its dead-letter queue %s: %s", schedule["Arn"], queue, second)


def _input(schedule: Mapping[str, Any], region: str, due: datetime) -> str:
    """Return what the target gets, with the context attributes; the event of a schedule if it has no input."""
    at = due.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    execution = str(uuid.uuid4())
    text: str | None = schedule["Target"].get("Input")
    if text is None:
        event = {
            "version": "0",
            "id": execution,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": schedule["Arn"].split(":")[4],
            "time": at,
            "region": region,
            "resources": [schedule["Arn"]],
            "detail": "{}",
        }
        return json.dumps(event)
    for name, value in (
        ("schedule-arn", schedule["Arn"]),
        ("scheduled-time", at),
        ("execution-id", execution),
        ("attempt-number", "1"),
    ):
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _call(client: Client, arn: str, text: str) -> None:
    _, _, service, region, _, _ = arn.split(":", 5)
    if service == "states":
        client("stepfunctions", region).start_execution(stateMachineArn=arn, input=text)
    elif service == "lambda":
        client("lambda", region).invoke(FunctionName=arn, InvocationType="Event", Payload=text)
    elif service == "sns":
        client("sns", region).publish(TopicArn=arn, Message=text)
    else:
        _send_message(client, arn, text)


def _send_message(client: Client, arn: str, text: str, **options: Any) -> None:
    _, _, _, region, _, name = arn.split(":", 5)
    queues = client("sqs", region)
    url = queues.get_queue_url(QueueName=name)["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody=text, **options)
