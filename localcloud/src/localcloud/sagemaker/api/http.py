"""The HTTP of the control plane and the runtime: bounded headers, bounded bodies, a request id in every answer."""

from __future__ import annotations

import uuid

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEADER_BYTES = 64 * 1024  # of a request's line and headers, or of its trailers; one read may exceed it a little


class BoundedHttp(HttpToolsProtocol):
    """Bounds a request's line and headers, which uvicorn takes in any size.

    It counts the bytes that have come since the last ones of a body. It overrides uvicorn's own methods.
    """

    _bytes = 0

    def data_received(self, data: bytes) -> None:
        """Count bytes, and refuse the request if there are too many."""
        self._bytes += len(data)
        super().data_received(data)
        if self._bytes > _MOST_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request has more than {_MOST_HEADER_BYTES} bytes of headers.")

    def on_headers_complete(self) -> None:
        """Start to count anew."""
        self._bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Start to count anew."""
        self._bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Start to count anew."""
        self._bytes = 0
        super().on_message_complete()


class TooLargeError(Exception):
    """The body has too many bytes; the rest was not read."""


async def bounded_body(request: Request, most: int) -> bytes:
    """Return the body.

    Args:
        request: The request, whose body nothing has read yet.
        most: How many bytes the body may have.

    Raises:
        TooLargeError: The Content-Length is larger, or the body is.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise TooLargeError(f"the request's body has {length} bytes; at most {most} are taken")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise TooLargeError(f"the request's body has more than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


class RequestIds:
    """ASGI middleware that gives each answer an ``x-amzn-RequestId``, as AWS does.

    boto3 shows it as ``ResponseMetadata.RequestId``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the id to its answer."""

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-amzn-requestid", str(uuid.uuid4()).encode()))
            await send(message)

        await self._app(scope, receive, send_named)
