"""Lets programs of other network namespaces reach services that listen on loopback only.

It needs no network between the namespaces: they share a folder of Unix sockets, one for each port.

`relay.py out FOLDER PORTS [COMMAND…]` runs where the services are: socket → 127.0.0.1:port.
`relay.py in FOLDER PORTS [COMMAND…]` runs where they are missed: 127.0.0.1:port → socket.

PORTS is a list such as 4566,4567. If there is a command, it takes over the process, and the relay ends with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

_HOST = "127.0.0.1"
_BLOCK = 2**16
_LONGEST_CONNECT = 30  # seconds
_SECONDS_BETWEEN_LOOKS = 1.0

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Stream]]


async def serve(direction: str, folder: Path, ports: Sequence[int], on_ready: Callable[[], None]) -> None:
    """Relay until the parent process ends.

    Args:
        direction: ``in`` or ``out``, as the module describes them.
        folder: The folder of the sockets, which both sides share.
        ports: The ports of the services.
        on_ready: Called once connections are accepted.
    """
    parent = os.getppid()
    for port in ports:
        path = str(folder / f"{port}.sock")
        if direction == "in":
            await asyncio.start_server(partial(_join, partial(asyncio.open_unix_connection, path)), _HOST, port)
        else:
            Path(path).unlink(missing_ok=True)
            await asyncio.start_unix_server(partial(_join, partial(asyncio.open_connection, _HOST, port)), path)
            Path(path).chmod(0o700)
    on_ready()
    while os.getppid() == parent:
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)


async def _join(connect: Connect, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join a connection that came in with a new one to the other side, until both directions have ended."""
    with suppress(OSError, TimeoutError):  # the client sees its connection closed, as if the service had closed it
        far_reader, far_writer = await asyncio.wait_for(connect(), _LONGEST_CONNECT)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


def main(direction: str, folder: str, ports: str, *command: str) -> None:
    """Relay. If there is a command, relay in a child process and become the command.

    Args:
        direction: ``in`` or ``out``, as the module describes them.
        folder: The folder of the sockets, which both sides share.
        ports: The ports of the services, such as ``4566,4567``.
        command: The command to run beside the relay.
    """
    relayed = partial(serve, direction, Path(folder), [int(port) for port in ports.split(",")])
    if not command:
        asyncio.run(relayed(lambda: None))
        return
    ready, tell = os.pipe()
    if os.fork() == 0:
        os.close(ready)
        asyncio.run(relayed(lambda: os.close(tell)))
        os._exit(0)
    os.close(tell)
    os.read(ready, 1)  # returns once the relay accepts connections, or has failed
    os.close(ready)
    os.execvp(command[0], command)  # noqa: S606 - signals reach the command


if __name__ == "__main__":
    main(*sys.argv[1:])
