"""The ``x-amzn-RequestId`` that every answer of AWS bears; boto3 gives it as ``ResponseMetadata.RequestId``."""

from __future__ import annotations

import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RequestIds:
    """ASGI middleware: gives each answer an id of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-amzn-requestid", str(uuid.uuid4()).encode()))
            await send(message)

        await self._app(scope, receive, send_named)
