"""A TCP relay on 127.0.0.1 that adds latency each way and counts requests: ``python -m tests.benchmarks.slow_wire``.

A process of its own, so that its work is not counted as the client's. It prints its port, and when its standard input
ends what it has relayed, as JSON: how many requests to SQS (``sqs``) and how many to S3 (``s3``).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter

_CHUNK = 256 * 1024
_REQUEST_LINE = re.compile(rb"(POST|PUT|GET|HEAD|DELETE) (/\S*) HTTP/1\.1\r\n")


class Relay:
    """Connections of a client to one port, each byte as late as the others of its way."""

    def __init__(self, upstream: int, seconds: float) -> None:
        self._upstream, self._seconds = upstream, seconds
        self.counts: Counter[str] = Counter(sqs=0, s3=0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            await asyncio.gather(self._pump(reader, up_writer, counted=True), self._pump(up_reader, writer))
        except ConnectionError:
            pass  # either side may hang up
        finally:
            for each in (writer, up_writer):
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        loop = asyncio.get_running_loop()
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, chunk = await late.get()
                await asyncio.sleep(due - loop.time())
                if not chunk:
                    writer.close()
                    return
                writer.write(chunk)
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        chunk = b"."
        while chunk:
            chunk = await reader.read(_CHUNK)
            if counted:
                self._count(chunk)
            late.put_nowait((loop.time() + self._seconds, chunk))
        await delivering

    def _count(self, chunk: bytes) -> None:
        """Count the request lines: each begins what a client sends at once, since no client pipelines."""
        line = _REQUEST_LINE.match(chunk)
        if line:
            self.counts["sqs" if line[2] == b"/" else "s3"] += 1


async def main(upstream: int, milliseconds: float) -> None:
    relay = Relay(upstream, milliseconds / 1000)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    sys.stdout.write(json.dumps(relay.counts) + "\n")
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
