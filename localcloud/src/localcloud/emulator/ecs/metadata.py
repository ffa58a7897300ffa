"""What a container asks ECS for: its role's credentials, and what it is.

Both are paths of the emulator, with a secret token for each container. AWS gives the credentials by
``AWS_CONTAINER_CREDENTIALS_RELATIVE_URI``, at an address of the task's network; here it is
``AWS_CONTAINER_CREDENTIALS_FULL_URI``, which may be an address of loopback.

Source: Amazon ECS Developer Guide, "Amazon ECS task IAM role" and "Amazon ECS task metadata endpoint version 4 for
tasks on Fargate"; AWS SDKs and Tools Reference Guide, "Container credential provider".
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool

from localcloud.emulator.ecs.state import LOCK, Record
from localcloud.request_guard import Application, Receive, Scope, Send

_CREDENTIALS = "/_ecs/credentials/"
_METADATA = "/_ecs/v4/"

Credentials = Mapping[str, Any]
"""The credentials of STS's AssumeRole."""


@dataclass(frozen=True)
class ContainerView:
    """What a container may learn of its task.

    Attributes:
        task: The record of the task.
        role: The ARN of its role; None if it has none.
        assume: Returns new credentials of the role.
    """

    task: Record
    role: str | None
    assume: Callable[[], Credentials]


class ContainerEndpoints:
    """An ASGI application that answers containers, and passes on all else.

    Args:
        endpoint: The URL of the emulator.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._views: dict[str, ContainerView] = {}

    def open(self, view: ContainerView) -> str:
        """Answer a container from now on, and return its token."""
        token = secrets.token_urlsafe(32)
        self._views[token] = view
        return token

    def close(self, token: str) -> None:
        """Answer no more requests with this token."""
        self._views.pop(token, None)

    def variables(self, token: str) -> dict[str, str]:
        """Return the environment variables by which a container finds its endpoints."""
        credentials = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._endpoint}{_CREDENTIALS}{token}"}
        return {
            "ECS_CONTAINER_METADATA_URI_V4": f"{self._endpoint}{_METADATA}{token}",
            **(credentials if self._views[token].role else {}),
        }

    def before(self, app: Application) -> Application:
        """Return an application that answers containers, and passes on to another all else."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope.get("path", "")
            if scope["type"] == "http" and path.startswith((_CREDENTIALS, _METADATA)):
                status, answer = await self._answer(path)
                await _respond(status, answer, send)
            else:
                await app(scope, receive, send)

        return call

    async def _answer(self, path: str) -> tuple[int, Record]:
        is_credentials = path.startswith(_CREDENTIALS)
        token, _, rest = path.removeprefix(_CREDENTIALS if is_credentials else _METADATA).partition("/")
        view = self._views.get(token)
        if view is None or (is_credentials and view.role is None) or rest not in ("", "task"):
            return 404, {"code": "NotFound", "message": "no container has this address"}
        if is_credentials:
            return 200, _credentials(view.role, await run_in_threadpool(view.assume))
        with LOCK:
            return 200, _task(view.task) if rest == "task" else _container(view.task)


def _credentials(role: str | None, credentials: Credentials) -> Record:
    return {
        "RoleArn": role,
        "AccessKeyId": credentials["AccessKeyId"],
        "SecretAccessKey": credentials["SecretAccessKey"],
        "Token": credentials["SessionToken"],
        "Expiration": credentials["Expiration"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _task(task: Record) -> Record:
    family, _, revision = task["taskDefinitionArn"].rpartition("/")[2].partition(":")
    return {
        "Cluster": task["clusterArn"],
        "TaskARN": task["taskArn"],
        "Family": family,
        "Revision": revision,
        "DesiredStatus": task["desiredStatus"],
        "KnownStatus": task["lastStatus"],
        "Limits": {"CPU": int(task["cpu"]) / 1024, "Memory": int(task["memory"])},
        "AvailabilityZone": task["availabilityZone"],
        "LaunchType": task["launchType"],
        "PullStartedAt": _time(task["pullStartedAt"]),
        "Containers": [_container(task)],
    }


def _container(task: Record) -> Record:
    container = task["containers"][0]
    family, _, revision = task["taskDefinitionArn"].rpartition("/")[2].partition(":")
    return {
        "DockerId": container.get("runtimeId", ""),
        "Name": container["name"],
        "DockerName": container["name"],
        "Image": container["image"],
        "Labels": {
            "com.amazonaws.ecs.cluster": task["clusterArn"],
            "com.amazonaws.ecs.container-name": container["name"],
            "com.amazonaws.ecs.task-arn": task["taskArn"],
            "com.amazonaws.ecs.task-definition-family": family,
            "com.amazonaws.ecs.task-definition-version": revision,
        },
        "ContainerARN": container["containerArn"],
        "DesiredStatus": task["desiredStatus"],
        "KnownStatus": container["lastStatus"],
        "Limits": {"CPU": int(container["cpu"]), "Memory": int(container.get("memory", task["memory"]))},
        "CreatedAt": _time(task["createdAt"]),
        "Type": "NORMAL",
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["127.0.0.1"]}],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _respond(status: int, answer: Record, send: Send) -> None:
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
