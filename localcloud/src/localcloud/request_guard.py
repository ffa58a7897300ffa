"""Lets programs on this machine through, and refuses requests of web pages.

Both services check no credentials, and a browser sends a page's requests to loopback like any other. Three headers,
which no script of a page can change, identify such a request (Fetch standard, forbidden request-headers):

- ``Host`` is the name in the address. For the browser, a page whose own name resolves to 127.0.0.1 (DNS rebinding) has
  the same origin as this service, so the name has to be one of loopback's. The port isn't checked, as a tunnel or a
  proxy may listen on another one.
- ``Origin`` is the page's. Programs send none; only a page of this service would send this service's.
- ``Sec-Fetch-Site`` is the relation of page and address, if there is no ``Origin`` (an image, a link). ``none`` is an
  address that the user typed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK = re.compile(rb"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_OWN_SITES = (b"same-origin", b"none")
_FORBIDDEN = 403
_POLICY_VIOLATION = 1008


class RequestGuard:
    """An ASGI application that passes on only requests that no foreign web page can have sent."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403 with the reason."""
        reason = None if scope["type"] == "lifespan" else refusal(scope["headers"])
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": reason})
        else:
            await _forbid(reason, send)


def refusal(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return why a request with these headers is refused; None if it isn't.

    Args:
        headers: Names in lower case, as in ASGI, and values.
    """
    hosts: list[bytes] = []
    origins: list[bytes] = []
    sites: list[bytes] = []
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"origin":
            origins.append(value)
        elif name == b"sec-fetch-site":
            sites.append(value)
    if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
        return f"the Host header is {_shown(hosts)}, and has to be 127.0.0.1, localhost or [::1]"
    if any(origin != b"http://" + hosts[0] for origin in origins):
        return f"the request comes from a web page of {_shown(origins)}"
    if any(site not in _OWN_SITES for site in sites):
        return f"the request comes from a web page (Sec-Fetch-Site is {_shown(sites)})"
    return None


def _shown(values: list[bytes]) -> str:
    return ", ".join(repr(value.decode("latin-1")) for value in values) or "missing"


async def _forbid(reason: str, send: Send) -> None:
    body = json.dumps({"__type": "AccessDeniedException", "message": f"Refused: {reason}."}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # the request's body is not read
    ]
    await send({"type": "http.response.start", "status": _FORBIDDEN, "headers": headers})
    await send({"type": "http.response.body", "body": body})
