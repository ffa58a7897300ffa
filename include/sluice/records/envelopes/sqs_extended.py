"""Pointers of the extended client libraries (https://github.com/awslabs/amazon-sqs-java-extended-client-lib)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from typing_extensions import override

from sluice.records.envelopes import MOST_BYTES, Fault, Inner, Opener
from sluice.records.payloads import Unreadable

_CLASSES = ("software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer")


class SqsExtendedOpener(Opener):
    """Returns the payload. A small body holds no pointer."""

    @override
    def open(self, content: bytes) -> Iterable[Inner]:
        pointer = _pointer(content)
        if pointer is None:
            return (Inner(content),)
        bucket, key = pointer
        if bucket != self.envelope.bucket:
            raise Fault("payload: other_bucket")
        try:
            return (Inner(self.payloads.read(bucket, key, MOST_BYTES)),)
        except Unreadable as error:
            raise Fault(f"payload: {error}") from error


def _pointer(content: bytes) -> tuple[str, str] | None:
    """Return bucket and key; None if the content is no pointer."""
    if not content.lstrip().startswith(b"["):
        return None
    try:
        name, place = json.loads(content)
    except (ValueError, TypeError, RecursionError):
        return None
    if name not in _CLASSES:
        return None
    try:
        bucket, key = place["s3BucketName"], place["s3Key"]
        key.encode()
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError) as error:
        raise Fault("payload: no_pointer") from error
    return bucket, key
