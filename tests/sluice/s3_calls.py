"""Counts the calls that a piece of work makes to S3, in whichever way they are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from botocore.httpsession import URLLib3Session

from sluice.aws import wire


@contextmanager
def counted(bucket: str) -> Iterator[Counter[str]]:
    """Yield the calls about a bucket by kind: ``get``, ``put``, ``list`` and ``delete``; they grow meanwhile."""
    counts, lock = Counter[str](), Lock()

    def count(method: str, target: str) -> None:
        path, _, query = target.partition("?")
        if path.strip("/").partition("/")[0] == bucket:
            with lock:
                counts["list" if "list-type" in query else method.lower()] += 1

    sent_by_wire, sent_by_boto = wire.Wire.send, URLLib3Session.send

    def by_wire(self: Any, method: str, target: str, *arguments: Any) -> Any:
        count(method, target)
        return sent_by_wire(self, method, target, *arguments)

    def by_boto(self: Any, request: Any) -> Any:
        link = urlsplit(request.url)
        count(request.method, f"{link.path}?{link.query}")
        return sent_by_boto(self, request)

    with patch.object(wire.Wire, "send", by_wire), patch.object(URLLib3Session, "send", by_boto):
        yield counts
