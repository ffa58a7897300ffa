"""Sends what the operator and the weather service of 2013 sent: ``python -m pipelines.flights.producer --days 14``.

Each day's events go to the FIFO queue, one message group per aircraft, as fast as the queue accepts them. After all
events of a day ``flights/producer/dt=…/sent.json`` is written to the bucket, and the next run does not send that day
again. A day that was interrupted is sent again from its beginning, and ``conform`` keeps one row per event.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.flights import data
from pipelines.flights.events import events_of_days
from pipelines.flights.weather import drop_weather
from sluice.aws.clients import Aws
from sluice.aws.failures import explain
from sluice.aws.resources import find
from sluice.aws.settings import load_settings
from sluice.errors import SluiceError
from sluice.sending.lanes import Event, send_events
from sluice.sources.queue.messages import MessageQueue
from sluice.sources.queue.send import QueueSender

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_FIRST = datetime(2013, 1, 1)  # noqa: DTZ001 - a date that typer parses has no zone
_LAST = date(2014, 1, 1)  # New York's last flights of 2013 leave and land on this UTC day


@dataclass(frozen=True)
class Sent:
    """``events`` counts what this run sent, and ``total`` what this run and earlier ones sent of the days."""

    events: int
    total: int


def send_days(
    sqs: SQSClient,
    s3: S3Client,
    queue_url: str,
    bucket: str,
    days: Sequence[date],
    *,
    on_total: Callable[[int], None] = lambda _: None,
    on_sent: Callable[[int], None] = lambda _: None,
) -> Sent:
    """Send the events of those days that were not sent yet, then drop the weather of all the days.

    Args:
        sqs: The client that sends.
        s3: The client that drops.
        queue_url: The URL of the FIFO queue.
        bucket: The pipeline's bucket.
        days: UTC days, in the order in which they are sent.
        on_total: Called once, with the number of events that will be sent.
        on_sent: Called from several threads, each time with a number of events that the queue accepted.

    Raises:
        SendFailed: the queue did not take an event; run again.
        MissingResource: the data package is not installed.
    """
    by_day = events_of_days(data.flights(), days)
    new = {day: events for day, events in by_day.items() if not _was_sent(s3, bucket, day, events)}
    on_total(sum(len(events) for events in new.values()))
    for day, events in new.items():
        send_events(events, QueueSender(MessageQueue(sqs, queue_url)), on_sent=on_sent)
        s3.put_object(Bucket=bucket, Key=_marker(day), Body=_record(events))
    drop_weather(s3, bucket, data.weather(), days)
    return Sent(
        events=sum(len(events) for events in new.values()), total=sum(len(events) for events in by_day.values())
    )


def _was_sent(s3: S3Client, bucket: str, day: date, events: Sequence[Event]) -> bool:
    """Return whether exactly these events of the day were all sent before."""
    try:
        return s3.get_object(Bucket=bucket, Key=_marker(day))["Body"].read() == _record(events)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return False
        raise


def _marker(day: date) -> str:
    return f"flights/producer/dt={day.isoformat()}/sent.json"


def _record(events: Sequence[Event]) -> bytes:
    digest = hashlib.sha256("\n".join(event.body for event in events).encode()).hexdigest()
    return json.dumps({"count": len(events), "digest": digest}).encode()


def _main(
    days: Annotated[int, typer.Option(min=1, help="How many UTC days to send.")] = 14,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first of them.")] = _FIRST,
) -> None:
    """Send the events of some days of 2013 to the flights pipeline's queue, and drop their weather."""
    chosen = [start.date() + timedelta(days=n) for n in range(days)]
    if chosen[0] < _FIRST.date() or chosen[-1] > _LAST:
        raise typer.BadParameter(f"the data is of {_FIRST.date()} to {_LAST}, not {chosen[0]} to {chosen[-1]}")
    try:
        sent = _send_with_progress(chosen)
    except (SluiceError, BotoCoreError, ClientError) as error:
        Console(stderr=True).print(explain(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    Console().print(f"sent {sent.events:,} of {sent.total:,} events of {len(chosen)} days")


def _send_with_progress(days: Sequence[date]) -> Sent:
    aws = Aws()
    resources = find(aws, "flights")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("sending events", total=None)
        return send_days(
            aws.client("sqs"),
            aws.client("s3"),
            resources.made_for("queues", "events"),
            resources.bucket,
            days,
            on_total=lambda total: progress.update(task, total=total),
            on_sent=lambda count: progress.advance(task, count),
        )


if __name__ == "__main__":
    load_settings()
    typer.run(_main)
