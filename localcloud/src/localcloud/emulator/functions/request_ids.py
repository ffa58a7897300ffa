"""Gives the answer of Invoke the request id of the invocation, which the function's context and log have.

The emulator gives each answer an id of its own.

Source: AWS Lambda Developer Guide, "Using the Lambda context object" (aws_request_id).
"""

from __future__ import annotations

from localcloud.request_guard import Application, Message, Receive, Scope, Send

INVOCATION = "x-localcloud-invocation"
"""The header by which an operation tells the id; it isn't sent."""

_SENT = b"x-amzn-requestid"


class InvocationIds:
    """An ASGI application that replaces the id of an answer, if the answer is of an invocation."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await self._app(scope, receive, _replacing(send))


def _replacing(send: Send) -> Send:
    async def call(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message["headers"]]
            found = dict(headers).get(INVOCATION.encode())
            if found is not None:
                kept = [each for each in headers if each[0] not in (_SENT, INVOCATION.encode())]
                message = {**message, "headers": [*kept, (_SENT, found)]}
        await send(message)

    return call
