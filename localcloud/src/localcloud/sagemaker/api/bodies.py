"""The bodies of requests, read up to a bound and no further."""

from __future__ import annotations

from starlette.requests import Request


class TooLargeError(Exception):
    """The body has more bytes than its reader takes; the rest was not read."""


async def bounded_body(request: Request, most: int) -> bytes:
    """The body, of at most so many bytes.

    Raises:
        TooLargeError: it says that it has more, or has.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise TooLargeError(f"the request's body has {said} bytes; at most {most} are taken")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise TooLargeError(f"the request's body has more than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
