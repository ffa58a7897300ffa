"""The runtime's protocol, asked as ASGI: bodies are bounded, models may fail or be slow."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette

from localcloud.sagemaker.algorithms.serving import Answer, Invocation
from localcloud.sagemaker.hosting import runtime
from localcloud.sagemaker.hosting.fleet import Fleet, Variant
from localcloud.sagemaker.hosting.runtime import Runtime

MEGABYTE = 1024**2


@dataclass
class Echo:
    """Answers with the body; ``fail`` and ``wait`` make it a worse model."""

    fail: bool = False
    wait: threading.Event | None = None
    threads: list[str] = field(default_factory=list)

    def invoke(self, invocation: Invocation) -> Answer:
        self.threads.append(threading.current_thread().name)
        if self.wait is not None:
            self.wait.wait(30)
            self.threads.append("released")
        if self.fail:
            raise RuntimeError("no luck")
        return Answer(200, "text/csv", invocation.body)

    def execution_parameters(self) -> dict[str, Any]:
        return {"BatchStrategy": "MULTI_RECORD"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    chunks_read: int


def ask(server: Echo, chunks: Iterable[bytes], *, path: str = "/invocations", method: str = "POST") -> Reply:
    """Send a request whose body comes in these chunks, as a client without Content-Length does."""
    fleet = Fleet()
    fleet.switch("live", (Variant("AllTraffic", 1.0, server),))
    app = Starlette(routes=Runtime(fleet).routes())
    return asyncio.run(sent(app, chunks, f"/endpoints/live{path}", method))


async def sent(app: Starlette, chunks: Iterable[bytes], path: str, method: str) -> Reply:
    read = 0
    replies: list[Any] = []

    async def messages() -> AsyncIterator[dict[str, Any]]:
        nonlocal read
        for chunk in chunks:
            read += 1
            yield {"type": "http.request", "body": chunk, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    coming = messages()

    async def receive() -> dict[str, Any]:
        return await anext(coming)

    async def send(message: Any) -> None:
        replies.append(message)

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    await app({**scope, "headers": [(b"content-type", b"text/csv")], "root_path": ""}, receive, send)
    headers = {name.decode(): value.decode() for name, value in replies[0]["headers"]}
    body = b"".join(reply.get("body", b"") for reply in replies)
    return Reply(replies[0]["status"], headers, body, read)


def test_a_body_may_have_six_megabytes_and_come_in_parts() -> None:
    reply = ask(Echo(), [b"x" * MEGABYTE] * 6)
    assert (reply.status, len(reply.body)) == (200, 6 * MEGABYTE)


def test_no_more_of_a_body_is_read_than_may_be() -> None:
    reply = ask(Echo(), (b"x" * MEGABYTE for _ in range(1000)))
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (413, "ValidationError")
    assert reply.chunks_read == 7


def test_a_body_that_does_not_come_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_SECONDS", 0.05)

    async def never() -> Reply:
        fleet = Fleet()
        fleet.switch("live", (Variant("AllTraffic", 1.0, Echo()),))
        replies: list[Any] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            replies.append(message)

        scope = {"type": "http", "method": "POST", "path": "/endpoints/live/invocations", "query_string": b""}
        app = Starlette(routes=Runtime(fleet).routes())
        await asyncio.wait_for(app({**scope, "headers": [], "root_path": ""}, receive, send), 10)
        return Reply(replies[0]["status"], {}, b"", 0)

    assert asyncio.run(never()).status == 408


def test_a_slow_model_is_told_as_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_SECONDS", 0.05)
    release = threading.Event()
    server = Echo(wait=release)
    try:
        reply = ask(server, [b"1"])
        assert "released" not in server.threads, "it isn't waited for any longer"
    finally:
        release.set()
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert json.loads(reply.body)["Message"].startswith("Your invocation timed out while waiting for a response")


def test_a_model_that_fails_is_a_server_error_of_the_models() -> None:
    reply = ask(Echo(fail=True), [b"1"])
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (424, "ModelError")
    told = json.loads(reply.body)
    assert told["OriginalStatusCode"] == 500
    assert "no luck" in told["OriginalMessage"]


def test_a_quick_model_answers_small_requests_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_QUICK_SECONDS", 30.0)  # the machine may be busy
    server, fleet = Echo(), Fleet()
    fleet.switch("live", (Variant("AllTraffic", 1.0, server),))
    app = Starlette(routes=Runtime(fleet).routes())

    async def three() -> None:
        for body in (b"1", b"1", b"1" * 5000):
            await sent(app, [body], "/endpoints/live/invocations", "POST")

    asyncio.run(three())
    own = threading.current_thread().name
    # The first one isn't known to be quick yet, and the last one is large.
    assert [thread == own for thread in server.threads] == [False, True, False]


def test_the_containers_own_paths_answer_beside_invocations() -> None:
    assert ask(Echo(), [], path="/ping", method="GET").status == 200
    reply = ask(Echo(), [], path="/execution-parameters", method="GET")
    assert json.loads(reply.body) == {"BatchStrategy": "MULTI_RECORD"}
    assert ask(Echo(), [], method="GET").status == 405
