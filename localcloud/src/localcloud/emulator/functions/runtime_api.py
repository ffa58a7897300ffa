"""The Runtime API of one execution environment: how a runtime gets invocations and returns what they result in.

Source: AWS Lambda Developer Guide, "Using the Lambda runtime API".
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue

from localcloud.emulator.functions.outcome import Invocation
from localcloud.settings import HOST

LARGEST_RESPONSE = 6 * 1024 * 1024 + 100  # bytes, as Lambda's own message says

_PREFIX = "/2018-06-01/runtime"
_RESULT = re.compile(rf"{_PREFIX}/invocation/([^/]+)/(response|error)")
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"


@dataclass(frozen=True)
class Ready:
    """The runtime waits for the next invocation."""


@dataclass(frozen=True)
class Answered:
    """The function has returned a payload."""

    payload: bytes


@dataclass(frozen=True)
class Failed:
    """The function, or its initialization, has failed; the payload describes the error."""

    payload: bytes
    error_type: str
    is_runtimes: bool  # it is of the runtime or of Lambda, not of the handler


Event = Ready | Answered | Failed


class RuntimeApi:
    """A server on a port of its own; `events` has what the runtime reports, in order."""

    def __init__(self) -> None:
        self.events: SimpleQueue[Event] = SimpleQueue()
        self._offers: SimpleQueue[tuple[Invocation, int] | None] = SimpleQueue()
        self._server = _Server(self.events, self._offers)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        """The host and port, as AWS_LAMBDA_RUNTIME_API has them."""
        return f"{HOST}:{self._server.server_address[1]}"

    def offer(self, invocation: Invocation, deadline: float) -> None:
        """Give the runtime its next invocation.

        Args:
            invocation: The invocation.
            deadline: When it times out, in seconds since the epoch.
        """
        self._server.request_id = invocation.request_id
        self._offers.put((invocation, int(deadline * 1000)))

    def close(self) -> None:
        """Stop the server."""
        self._offers.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a runtime that waits for its next invocation waits for ever
    request_id = ""

    def __init__(self, events: SimpleQueue[Event], offers: SimpleQueue[tuple[Invocation, int] | None]) -> None:
        super().__init__((HOST, 0), _Handler)
        self.events, self.offers = events, offers

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a connection that a killed runtime has left."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: a second one would wait for the first one's acknowledgement
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{_PREFIX}/invocation/next":
            return self._answer(HTTPStatus.NOT_FOUND, {"errorType": "InvalidPath", "errorMessage": self.path})
        self.server.events.put(Ready())
        offer = self.server.offers.get()
        if offer is None:
            self.close_connection = True
            return None
        invocation, deadline = offer
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": _trace_id(invocation.request_id),
        }
        if invocation.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        return self._send(HTTPStatus.OK, invocation.payload, headers)

    def do_POST(self) -> None:
        body = self._body()
        if self.path == f"{_PREFIX}/init/error":
            self.server.events.put(Failed(body, self.headers.get(_ERROR_TYPE, "Unhandled"), is_runtimes=True))
            return self._accepted()
        result = _RESULT.fullmatch(self.path)
        if result is None:
            return self._answer(HTTPStatus.NOT_FOUND, {"errorType": "InvalidPath", "errorMessage": self.path})
        request_id, kind = result.groups()
        if request_id != self.server.request_id:
            error = {"errorType": "InvalidRequestID", "errorMessage": f"Invalid request ID {request_id}"}
            return self._answer(HTTPStatus.BAD_REQUEST, error)
        if len(body) > LARGEST_RESPONSE:
            message = f"Response payload size exceeded maximum allowed payload size ({LARGEST_RESPONSE} bytes)."
            error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}
            self.server.events.put(Failed(json.dumps(error).encode(), error["errorType"], is_runtimes=True))
            return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)
        failed = Failed(body, self.headers.get(_ERROR_TYPE, "Unhandled"), is_runtimes=False)
        self.server.events.put(Answered(body) if kind == "response" else failed)
        return self._accepted()

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _accepted(self) -> None:
        self._answer(HTTPStatus.ACCEPTED, {"status": "OK"})

    def _answer(self, status: HTTPStatus, answer: Mapping[str, str]) -> None:
        self._send(status, json.dumps(answer).encode(), {})

    def _send(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing: the function's log has what happened."""


def _trace_id(request_id: str) -> str:
    """Return an X-Ray trace id of the form that Lambda gives; nothing is traced here."""
    digits = request_id.replace("-", "")
    return f"Root=1-{digits[:8]}-{digits[8:]};Parent={digits[:16]};Sampled=0"
