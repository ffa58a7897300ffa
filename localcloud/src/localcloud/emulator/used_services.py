"""Turns off the services that nothing here uses.

The emulator has a hundred services; some of them run code (Lambda), fetch addresses or open ports as the user who
started it. A service that is off can't be reached in any way: by a request to it, a path of the emulator's own
(``/_ministack/…``), a WebSocket, a host name, or a resource in a template (:mod:`localcloud.emulator.stack_resources`).

Restores nothing of AWS: it removes what a machine should not offer to every program that reaches its loopback.
"""

from __future__ import annotations

from typing import Any

from ministack import app

from localcloud.request_guard import Application, Message, Receive, Scope, Send

_HEALTH_PATH = "/_ministack/health"
_CORS_PREFIX = b"access-control-"


def turn_off_unused() -> None:
    """Close every way but requests to services, which the emulator's own setting ``SERVICES`` closes."""
    app._handle_pre_body_request = _health
    app._handle_post_body_shortcuts = _not_handled
    app._handle_special_data_plane_request = _not_handled


async def _health(_method: str, path: str, _headers: Any, _query: Any, request_id: str) -> Any:
    return app._handle_health_request(path, request_id)


async def _not_handled(*_request: Any, **_more: Any) -> None:
    """Pass the request on to the services."""


class UsedPathsOnly:
    """The emulator's ASGI application without its own paths, WebSockets and CORS headers."""

    def __init__(self, emulator: Application) -> None:
        self._emulator = emulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404 for the emulator's own paths but the health path, close WebSockets, and pass on all else."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            if (
                scope["path"].startswith("/_") and scope["path"] != _HEALTH_PATH
            ):  # no bucket's name starts with an underscore
                await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._emulator(scope, receive, _without_cors(send))
        else:
            await self._emulator(scope, receive, send)


def _without_cors(send: Send) -> Send:
    async def call(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [each for each in message["headers"] if not each[0].lower().startswith(_CORS_PREFIX)]
            message = {**message, "headers": headers}
        await send(message)

    return call
