"""The runtime's protocol, called by ASGI: bodies are bounded, models may fail or be slow."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from localcloud.sagemaker.algorithms.serving import Answer, Invocation
from localcloud.sagemaker.hosting import runtime
from localcloud.sagemaker.hosting.fleet import Fleet, Variant
from localcloud.sagemaker.hosting.runtime import Runtime

MEGABYTE = 1024**2


@dataclass
class Echo:
    """A model that answers with the body; with ``fail`` it fails, and with ``wait`` it is slow."""

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


def call(
    server: Echo,
    chunks: Iterable[bytes],
    *,
    path: str = "/invocations",
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a request whose body comes in these chunks, as a client without Content-Length does."""
    fleet = Fleet()
    fleet.switch("live", (Variant("AllTraffic", 1.0, server),))
    app = Starlette(routes=Runtime(fleet).routes())
    return asyncio.run(sent(app, chunks, f"/endpoints/live{path}", method, headers or {}))


async def sent(
    app: Starlette, chunks: Iterable[bytes], path: str, method: str, headers: Mapping[str, str] | None = None
) -> Reply:
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
    named = {"content-type": "text/csv"} | {name.lower(): value for name, value in (headers or {}).items()}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    await app({**scope, "headers": raw, "root_path": ""}, receive, send)
    shown = {name.decode(): value.decode() for name, value in replies[0]["headers"]}
    body = b"".join(reply.get("body", b"") for reply in replies)
    return Reply(replies[0]["status"], shown, body, read)


def test_a_body_may_have_six_megabytes_and_arrive_in_parts() -> None:
    reply = call(Echo(), [b"x" * MEGABYTE] * 6)
    assert (reply.status, len(reply.body)) == (200, 6 * MEGABYTE)


def test_a_body_is_read_up_to_the_limit_only() -> None:
    reply = call(Echo(), (b"x" * MEGABYTE for _ in range(1000)))
    assert (reply.status, json.loads(reply.body)) == (413, {"Message": "HTTP content length exceeded 6291456 bytes."})
    assert reply.chunks_read == 7


def test_a_body_that_does_not_arrive_is_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_slow_model_is_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_SECONDS", 0.05)
    release = threading.Event()
    server = Echo(wait=release)
    try:
        reply = call(server, [b"1"])
        assert "released" not in server.threads, "it isn't awaited any longer"
    finally:
        release.set()
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (424, "ModelError")
    error = json.loads(reply.body)
    assert error["OriginalStatusCode"] == 0
    assert error["OriginalMessage"].startswith("Your invocation timed out while waiting for a response from container")
    assert error["Message"].startswith(
        f'Received server error (0) from primary with message "{error["OriginalMessage"]}". See https://us-east-1.console'
    )


def test_a_model_that_fails_is_a_model_error() -> None:
    reply = call(Echo(fail=True), [b"1"])
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (424, "ModelError")
    error = json.loads(reply.body)
    assert error["OriginalStatusCode"] == 500
    assert "no luck" in error["OriginalMessage"]


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
    assert call(Echo(), [], path="/ping", method="GET").status == 200
    reply = call(Echo(), [], path="/execution-parameters", method="GET")
    assert json.loads(reply.body) == {"BatchStrategy": "MULTI_RECORD"}
    assert call(Echo(), [], method="GET").status == 405


def test_slow_models_leave_threads_for_other_requests() -> None:
    release, fleet = threading.Event(), Fleet()
    server = Echo(wait=release)
    fleet.switch("live", (Variant("AllTraffic", 1.0, server),))
    app = Starlette(routes=Runtime(fleet).routes())

    async def crowd() -> list[Reply]:
        asking = [asyncio.create_task(sent(app, [b"1"], "/endpoints/live/invocations", "POST")) for _ in range(60)]
        try:
            while not server.threads:
                await asyncio.sleep(0)
            assert await asyncio.wait_for(run_in_threadpool(lambda: "the control plane"), 10) == "the control plane"
        finally:
            release.set()
        return await asyncio.gather(*asking)

    assert [reply.status for reply in asyncio.run(crowd())] == [200] * 60, "and each is answered in its turn"


PREFIX = "X-Amzn-SageMaker-"


@pytest.mark.parametrize(
    ("header", "value", "message"),
    [
        (
            "Custom-Attributes",
            "a" * 1025,
            "'customAttributes' failed to satisfy constraint: Member must have length less",
        ),
        ("Custom-Attributes", "\xe9", "'customAttributes' failed to satisfy constraint: Member must satisfy regular"),
        (
            "Inference-Id",
            "i" * 65,
            "at 'inferenceId' failed to satisfy constraint: Member must have length less than or",
        ),
        ("Inference-Id", " i", "at 'inferenceId' failed to satisfy constraint: Member must satisfy regular expression"),
        ("Target-Variant", "a_b", "at 'targetVariant' failed to satisfy constraint: Member must satisfy regular"),
        (
            "Target-Model",
            "a.tar.gz",
            "Endpoint live is not a multi-model endpoint and does not support target model he",
        ),
        ("Target-Container-Hostname", "second", "it takes no TargetContainerHostname"),
        ("Inference-Component", "second", "it takes no InferenceComponentName"),
    ],
)
def test_headers_are_checked_by_the_service_model(header: str, value: str, message: str) -> None:
    reply = call(Echo(), [b"1"], headers={PREFIX + header: value})
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (400, "ValidationError")
    assert message in json.loads(reply.body)["Message"]


def test_headers_may_be_as_long_as_the_service_model_allows() -> None:
    headers = {f"{PREFIX}Custom-Attributes": "a" * 1024, f"{PREFIX}Inference-Id": "i" * 64}
    reply = call(Echo(), [b"1"], headers=headers)
    assert (reply.status, reply.body) == (200, b"1")
    assert not [name for name in reply.headers if "attributes" in name.lower()], "the container returns none"


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/async-invocations", "InvokeEndpointAsync"),
        ("/invocations-response-stream", "InvokeEndpointWithResponseStream"),
    ],
)
def test_an_operation_that_the_stand_in_lacks_is_a_modelled_error(path: str, operation: str) -> None:
    reply = call(Echo(), [b"1"], path=path)
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (400, "ValidationError")
    assert json.loads(reply.body)["Message"] == f"This stand-in has no {operation}: use InvokeEndpoint."


def test_a_small_request_does_not_wait_for_a_large_one_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_QUICK_SECONDS", 30.0)  # the machine may be busy
    release, threads = threading.Event(), list[str]()

    class Locked(Echo):
        def invoke(self, invocation: Invocation) -> Answer:
            threads.append(threading.current_thread().name)
            if len(invocation.body) > 4096:
                release.wait(20)
            return Answer(200, "text/csv", b"1")

    fleet = Fleet()
    fleet.switch("live", (Variant("AllTraffic", 1.0, Locked()),))
    app = Starlette(routes=Runtime(fleet).routes())

    async def requests() -> None:
        path = "/endpoints/live/invocations"
        await sent(app, [b"1"], path, "POST")  # isn't known to be quick yet
        await sent(app, [b"1"], path, "POST")
        large = asyncio.create_task(sent(app, [b"1" * 5000], path, "POST"))
        while len(threads) < 3:
            await asyncio.sleep(0.01)
        await sent(app, [b"1"], path, "POST")
        release.set()
        await large

    asyncio.run(requests())
    own = threading.current_thread().name
    assert [thread == own for thread in threads] == [False, True, False, False]
