"""The emulator's HTTP server: uvicorn, whose parser and loop are compiled, in place of hypercorn.

A small call spends most of its time on HTTP: on hypercorn it takes twice as long.
"""

from __future__ import annotations

import asyncio
from typing import Any

import hypercorn.asyncio
import uvicorn
import uvloop

_GRACE_SECONDS = 3  # for requests under way when the process has to end, as hypercorn gives them


def install() -> None:
    """Replace the function that serves the emulator."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    hypercorn.asyncio.serve = _serve


async def _serve(application: Any, config: Any) -> None:
    host, _, port = config.bind[0].rpartition(":")
    served = uvicorn.Config(
        application,
        host=host,
        port=int(port),
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        # The emulator has these itself.
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(config.keep_alive_timeout),
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    await uvicorn.Server(served).serve()
