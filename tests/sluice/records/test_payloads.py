"""A payload in S3 is read and kept before its message is deleted; one that can't be read holds nobody up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conftest import Cloud
from tests.draining import backlog, drain, records_from_sqs
from tests.sluice.lake_contents import rows_of
from tests.sluice.records import wrapped
from tests.sluice.toy import EVENTS, message, reading

from sluice.declaration import Pipeline, Sns, SqsExtended
from sluice.lake.store import Lake
from sluice.records.envelopes import sqs_extended
from sluice.sources.connecting import source_template

AT = "2013-01-01T07:00:00+00:00"
BODY = reading("big", AT, 5)
DAY = "dt=2013-01-01"


@pytest.fixture
def bucket(cloud: Cloud, own_name: str) -> str:
    name = f"{own_name}-payloads"
    cloud.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def source(bucket: str) -> Any:
    return replace(EVENTS, unwrap=(SqsExtended(bucket),))


def put(lake: Lake, bucket: str, key: str, body: str = BODY) -> str:
    """Put a payload, and return the body of the message that points to it."""
    lake.s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
    return wrapped.pointer(bucket, key)


def send(sqs: Any, queue: str, *bodies: str) -> None:
    for number, body in enumerate(bodies):
        sqs.send_message(
            QueueUrl=queue, MessageBody=body, MessageGroupId=f"g{number}", MessageDeduplicationId=f"{number}"
        )


def kept(lake: Lake) -> list[bytes]:
    return [lake.get(key) for key, _, _ in lake.objects("toy/payloads/events/")]


@pytest.mark.usefixtures("no_wire", "short_poll")
def test_payload_is_kept_before_its_message_is_deleted(
    cloud: Cloud, queue: str, lake: Lake, bucket: str, source: Any
) -> None:
    sqs, seen = cloud.client("sqs"), list[list[bytes]]()
    pointer = put(lake, bucket, "0001")
    send(sqs, queue, pointer, reading("small", AT))
    sqs.meta.events.register("provide-client-params.sqs.DeleteMessageBatch", lambda **_: seen.append(kept(lake)))

    drain(sqs, queue, lake, source)

    assert seen
    assert all(each == [BODY.encode()] for each in seen)
    rows = {row["event_id"]: row for row in rows_of(lake, "raw/events", DAY)}
    assert (rows["big"]["body"], rows["big"]["outer"]) == (BODY, pointer)
    assert (rows["small"]["body"], rows["small"]["outer"]) == (reading("small", AT), None)


def test_payload_that_was_kept_outlives_its_sender(lake: Lake, bucket: str, source: Any) -> None:
    pointer = put(lake, bucket, "0001")
    (landed,) = records_from_sqs(message(pointer), source, lake)
    lake.s3.delete_object(Bucket=bucket, Key="0001")

    assert records_from_sqs(message(pointer), source, lake) == [landed]


@pytest.mark.usefixtures("short_poll")
def test_payload_that_cannot_be_read_holds_nobody_up(
    sqs: Any, queue: str, lake: Lake, bucket: str, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs_extended, "MOST_BYTES", 100)
    large = put(lake, bucket, "large", reading("large", AT, text="x" * 100))
    send(sqs, queue, wrapped.pointer(bucket, "gone"), large, reading("small", AT))

    drained = drain(sqs, queue, lake, source)

    assert (drained.messages, backlog(sqs, queue)) == (3, 0)
    landed = [row for each in lake.partitions("raw/events") for row in rows_of(lake, "raw/events", each.key)]
    assert sorted(row["fault"] or "" for row in landed) == ["", "payload: gone", "payload: too_large"]
    assert kept(lake) == []


def refusing(lake: Lake, code: str, status: int) -> Lake:
    """Return the lake with a client for which S3 refuses to hand out payloads."""

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(lake.s3, name)

        def get_object(self, **_: Any) -> Any:
            raise ClientError(
                {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
                "GetObject",
            )

    return replace(lake, s3=Refusing())


def test_denied_payload_is_told_apart(lake: Lake, bucket: str, source: Any) -> None:
    pointer = put(lake, bucket, "0001")

    (record,) = records_from_sqs(message(pointer), source, refusing(lake, "AccessDenied", 403))

    assert (record.fault, record.body) == ("payload: denied", pointer)


@pytest.mark.usefixtures("short_poll")
def test_message_is_received_again_while_s3_is_busy(sqs: Any, queue: str, lake: Lake, bucket: str, source: Any) -> None:
    send(sqs, queue, put(lake, bucket, "0001"))

    with pytest.raises(ClientError, match="SlowDown"):
        drain(sqs, queue, refusing(lake, "SlowDown", 503), source)

    assert backlog(sqs, queue) == 1
    assert lake.partitions("raw/events") == []


def test_workers_may_read_the_bucket_of_the_payloads_and_no_other(toy_pipeline: Pipeline) -> None:
    source = replace(EVENTS, unwrap=(Sns(), SqsExtended("big-bodies")))

    statements = source_template(toy_pipeline, source).statements
    plain = source_template(toy_pipeline, EVENTS).statements

    rights = {(each.actions, each.resources) for each in statements} - {
        (each.actions, each.resources) for each in plain
    }
    assert rights == {
        (("s3:GetObject",), ("arn:${AWS::Partition}:s3:::big-bodies/*",)),
        (("s3:ListBucket",), ("arn:${AWS::Partition}:s3:::big-bodies",)),
    }
