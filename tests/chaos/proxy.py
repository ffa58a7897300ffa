"""A proxy in front of the embedded cloud that injects the faults of :mod:`tests.chaos.faults`."""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psutil
from tests.chaos.faults import Delay, Fault, Kill, Partial, Refuse, Request, Reset, Rule, Schedule

_FORWARD_SECONDS = 60
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "host"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Proxy:
    """A server on a port of 127.0.0.1 while it is entered; ``schedule.injected`` records what it did."""

    def __init__(self, upstream: str, seed: int, *rules: Rule) -> None:
        self.schedule = Schedule(seed, rules)
        self.over = threading.Event()
        self._held: set[Request] = set()
        self._callers: set[psutil.Process] = set()
        self.upstream = urlsplit(upstream)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def injected(self) -> Counter[Fault]:
        return self.schedule.injected

    @property
    def at_rest(self) -> bool:
        """Return whether no call is held back."""
        return not self._held

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def caller(self, port: int) -> psutil.Process:
        """Return the process that calls from this port; the oldest one, if it has forked since.

        Another process, also the test's own, may have a connection from the same port to another server (Linux, ip(7)).
        Who has called before is looked at first: to look at all processes takes much longer.
        """
        ends = (port, self._server.server_port)
        known = [each for each in tuple(self._callers) if ends in _connections(each)]
        if not known:
            every = psutil.net_connections("tcp4")
            known = [psutil.Process(each.pid) for each in every if each.pid and _ends(each) == ends]
        oldest = min(known, key=lambda each: each.pid)
        self._callers.add(oldest)
        return oldest

    def forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(
            str(self.upstream.hostname), self.upstream.port, timeout=_FORWARD_SECONDS
        )
        try:
            headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
            connection.request(request.method, request.path, request.body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def answer(self, request: Request) -> Answer | None:
        """Return what the client gets; None is a reset."""
        struck = self.schedule.strike(request)
        match struck:
            case (Refuse() as refusal, _):
                return refused(request, refusal)
            case (Delay(seconds), _):
                return self._late(request, seconds)
            case (Reset(happened) | Kill(happened), _):
                if happened:
                    self.forward(request)
                if isinstance(struck[0], Kill) and request.caller is not None:
                    request.caller.kill()
                return None
            case (Partial() as partial, chance):
                return self._in_part(request, partial, chance)
        return self.forward(request)

    def _late(self, request: Request, seconds: float) -> Answer:
        self._held.add(request)
        try:
            self.over.wait(seconds)
            return self.forward(request)
        finally:
            self._held.discard(request)

    def _in_part(self, request: Request, fault: Partial, chance: random.Random) -> Answer:
        batch = json.loads(request.body)
        member = "Records" if "Records" in batch else "Entries"
        failed = [chance.random() < fault.share for _ in batch[member]]
        kept = [entry for entry, fails in zip(batch[member], failed, strict=True) if not fails]
        done: dict[str, Any] = {}
        if kept:
            body = json.dumps({**batch, member: kept}).encode()
            answer = self.forward(replace(request, headers=_without_length(request.headers), body=body))
            if answer.status != 200:
                return answer
            done = json.loads(answer.body)
        spoil = _records_in_part if member == "Records" else _entries_in_part
        return _json(200, spoil(batch[member], failed, done, fault))


def _connections(process: psutil.Process) -> set[tuple[int, int]]:
    """Return the ports at both ends of the connections of a process; none if it has ended."""
    with suppress(psutil.Error):
        return {_ends(each) for each in process.net_connections("tcp4")}
    return set()


def _ends(connection: Any) -> tuple[int, int]:
    """Return the port of the process, and that of its peer; 0 if it has none."""
    return connection.laddr.port, connection.raddr.port if connection.raddr else 0


def _entries_in_part(
    entries: Sequence[Any], failed: Sequence[bool], done: Mapping[str, Any], fault: Partial
) -> dict[str, Any]:
    """Return an answer like that of SQS, which reports each entry by its id, in two lists."""
    failures = [
        {"Id": entry["Id"], "Code": fault.code, "Message": "injected", "SenderFault": fault.sender_fault}
        for entry, fails in zip(entries, failed, strict=True)
        if fails
    ]
    return {"Successful": done.get("Successful", []), "Failed": [*done.get("Failed", []), *failures]}


def _records_in_part(
    _: Sequence[Any], failed: Sequence[bool], done: Mapping[str, Any], fault: Partial
) -> dict[str, Any]:
    """Return an answer like that of Kinesis, which reports each record at its place."""
    results = iter(done.get("Records", []))
    records = [{"ErrorCode": fault.code, "ErrorMessage": "injected"} if fails else next(results) for fails in failed]
    return {**done, "FailedRecordCount": sum("ErrorCode" in record for record in records), "Records": records}


def refused(request: Request, fault: Refuse) -> Answer:
    """Return the error in the format of the service."""
    if request.service == "s3":
        body = f"<Error><Code>{fault.code}</Code><Message>injected</Message><RequestId>0</RequestId></Error>".encode()
        return Answer(fault.status, [("Content-Type", "application/xml")], body)
    answer = _json(fault.status, {"__type": f"com.amazonaws.{request.service}#{fault.code}", "message": "injected"})
    sender = "Sender" if fault.status < 500 else "Receiver"
    return Answer(answer.status, [*answer.headers, ("x-amzn-query-error", f"{fault.code};{sender}")], answer.body)


def _json(status: int, content: Mapping[str, Any]) -> Answer:
    return Answer(status, [("Content-Type", "application/x-amz-json-1.0")], json.dumps(content).encode())


def _without_length(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-length"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: Proxy

    def shutdown_request(self, request: Any) -> None:
        """Close without the shutdown that would come before a reset."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closes the connection early: these tests cause it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        # The search takes a while, in which its other calls would happen: so it comes before the fault.
        caller = self._caller if self.server.proxy.schedule.kills else None
        request = Request(self.command, self.path, headers, body, caller)
        try:
            answer = self.server.proxy.answer(request)
        except OSError:
            answer = None  # the cloud behind is down, as when it restarts
        if answer is None:
            self._reset()
        else:
            self._send(answer)

    @cached_property
    def _caller(self) -> psutil.Process:
        """The process at the other end of the connection."""
        return self.server.proxy.caller(self.client_address[1])

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _reset(self) -> None:
        """Reset the connection: without lingering, the close that follows is a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the base class looks for these names
