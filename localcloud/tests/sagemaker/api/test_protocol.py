"""The control plane's protocol, called by ASGI."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from localcloud.sagemaker.api import protocol
from localcloud.sagemaker.api.protocol import Api, ControlPlane
from localcloud.sagemaker.api.store import DocumentKind, Store
from localcloud.service_model.errors import ServiceError


def test_a_body_that_does_not_arrive_is_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_SECONDS", 0.05)
    replies: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        replies.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [], "root_path": ""}
    app = Starlette(routes=[Route("/", ControlPlane().answer, methods=["POST"])])
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 10))
    assert replies[0]["status"] == 408
    assert (b"connection", b"close") in replies[0]["headers"]
    assert json.loads(replies[1]["body"])["__type"] == "RequestTimeoutException"


def test_a_resource_that_another_request_deletes_meanwhile_is_not_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    kind = DocumentKind[dict[str, Any]]("model")
    store.insert(kind, "m", {})

    def delete(_request: dict[str, Any]) -> None:
        store.get(kind, "m")
        store.delete(kind, "m")  # the other request
        store.delete(kind, "m")

    with pytest.raises(ServiceError, match=r"ValidationException: Requested resource not found\."):
        ControlPlane(Api({"DeleteModel": delete})).run("SageMaker.DeleteModel", b'{"ModelName": "m"}')
