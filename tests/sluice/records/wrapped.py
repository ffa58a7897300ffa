"""Wraps bodies as services and producers do, by code of the tests' own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from typing import Any

MAGIC = b"\xf3\x89\x9a\xc2"


def sns(message: str, **more: Any) -> str:
    """Return a notification of SNS."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "11111111-0000-4000-8000-000000000000",
            "TopicArn": "arn:aws:sns:eu-west-1:000000000000:tides",
            "Message": message,
            "Timestamp": "2021-05-04T10:00:00.000Z",
            **more,
        }
    )


def eventbridge(detail: str) -> str:
    """Return an event of EventBridge around a detail in JSON."""
    return (
        f'{{"version":"0","id":"e","detail-type":"d","source":"s","time":"2021-05-04T10:00:00Z","detail": {detail} }}'
    )


def cloudevent(**more: Any) -> str:
    """Return a CloudEvent in structured JSON."""
    return json.dumps({"specversion": "1.0", "id": "ce", "source": "/s", "type": "t", **more})


def s3_notification(*keys: str) -> str:
    """Return a notification of S3 about objects, their keys as S3 encodes them."""
    records = [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": key}}} for key in keys]
    return json.dumps({"Records": records})


def packed(text: str) -> bytes:
    """Return gzip without a time, the same whenever it is made."""
    return gzip.compress(text.encode(), mtime=0)


def cloudwatch_logs(*messages: str, kind: str = "DATA_MESSAGE") -> bytes:
    """Return what a subscription filter sends."""
    events = [{"id": str(n), "timestamp": n, "message": message} for n, message in enumerate(messages)]
    return packed(json.dumps({"messageType": kind, "logGroup": "g", "logEvents": events}))


def gzip_as_text(text: str) -> str:
    """Return gzip in base64."""
    return base64.b64encode(packed(text)).decode()


def pointer(bucket: str, key: str) -> str:
    """Return a pointer of the extended client library."""
    return json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": bucket, "s3Key": key}])


def aggregated(*records: tuple[str, bytes], spoil: Callable[[bytes], bytes] = lambda digest: digest) -> bytes:
    """Return a record of the Kinesis Producer Library with records of these partition keys."""
    keys = list(dict.fromkeys(key for key, _ in records))
    packed = b"".join(_field(1, key.encode()) for key in keys)
    for key, data in records:
        packed += _field(3, b"\x08" + _varint(keys.index(key)) + _field(3, data))
    return MAGIC + packed + spoil(hashlib.md5(packed).digest())


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])
