"""Payloads that a message only points to: read from S3, and kept in the lake, because their sender may remove them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent, is_transient
from sluice.lake.store import Lake


class Unreadable(Exception):
    """A payload can't be read. Its text is the kind of the fault: ``gone``, ``denied`` or ``too_large``."""


@dataclass(frozen=True)
class Payloads:
    """The payloads of one source.

    Args:
        lake: The lake, which keeps them.
        source: The name of the source.
    """

    lake: Lake
    source: str

    def read(self, bucket: str, key: str, most: int) -> bytes:
        """Read a payload and keep it. One that is gone is read from the lake, if it was kept before.

        Args:
            bucket: The bucket of the payload.
            key: The key of the payload.
            most: The most bytes that it may have.

        Raises:
            Unreadable: it is not there and was not kept, may not be read, or is too large.
            ClientError: S3 is busy or unavailable. So the message must be received again.
        """
        kept = self.lake.layout.payload(self.source, hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest())
        try:
            found = self.lake.s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if is_transient(error):
                raise
            body = self.lake.read(kept)
            if body is None:
                raise Unreadable("gone" if is_absent(error) else "denied") from error
            return body
        if found["ContentLength"] > most:
            found["Body"].close()
            raise Unreadable("too_large")
        body = found["Body"].read()
        self.lake.put(kept, body)
        return body
