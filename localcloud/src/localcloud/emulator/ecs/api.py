"""The API of ECS: its operations, and how they are put together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core.responses import error_response_json, json_response
from ministack.services import ecs

from localcloud.emulator.clients import Client
from localcloud.emulator.ecs import clusters, state, status, task_definitions
from localcloud.emulator.ecs.metadata import ContainerEndpoints
from localcloud.emulator.ecs.state import Record
from localcloud.emulator.ecs.tags import Tags
from localcloud.emulator.ecs.task_run import Platform
from localcloud.emulator.ecs.tasks import Tasks
from localcloud.images import Image
from localcloud.service_model import messages
from localcloud.service_model.errors import ServiceError
from localcloud.service_model.validation import service_model

_PREFIX = "AmazonEC2ContainerServiceV20141113."
_SERVICE = "ecs"
_CONTENT_TYPE = "application/x-amz-json-1.1"

Operation = Callable[[Record], Record]


def install(
    images: Mapping[str, Image], folder: Path, variables: Mapping[str, str], client: Client
) -> ContainerEndpoints:
    """Patch ECS, and return what answers its containers.

    Args:
        images: What takes the place of images, by name.
        folder: The folder of running tasks; what an earlier process left there is removed.
        variables: The environment variables with which boto3 finds this cloud.
        client: Returns clients of this cloud.
    """
    shutil.rmtree(folder, ignore_errors=True)
    endpoints = ContainerEndpoints(variables["AWS_ENDPOINT_URL"])
    tasks = Tasks(Platform(images, folder, variables, client, endpoints))
    state.keep_records(status.stop_with_cloud)
    app.SERVICE_HANDLERS[_SERVICE] = _handler(_operations(tasks))
    return endpoints


def _operations(tasks: Tasks) -> Mapping[str, Operation]:
    tags = Tags(tasks)
    return {
        "RunTask": tasks.run,
        "StopTask": tasks.stop,
        "DescribeTasks": tasks.describe,
        "ListTasks": tasks.list,
        "RegisterTaskDefinition": task_definitions.register,
        "DescribeTaskDefinition": task_definitions.describe,
        "DeregisterTaskDefinition": task_definitions.deregister,
        "DeleteTaskDefinitions": task_definitions.delete,
        "ListTaskDefinitions": task_definitions.list_revisions,
        "ListTaskDefinitionFamilies": task_definitions.list_families,
        "CreateCluster": clusters.create,
        "DeleteCluster": clusters.delete,
        "DescribeClusters": _released(ecs._describe_clusters),
        "ListClusters": _released(ecs._list_clusters),
        "UpdateCluster": _released(ecs._update_cluster),
        "UpdateClusterSettings": _released(ecs._update_cluster_settings),
        "PutClusterCapacityProviders": clusters.put_capacity_providers,
        "DescribeCapacityProviders": _released(ecs._describe_capacity_providers),
        "TagResource": tags.add,
        "UntagResource": tags.remove,
        "ListTagsForResource": tags.list,
    }


def _released(operation: Callable[[Record], tuple[int, Any, bytes]]) -> Operation:
    """Return an operation of the released emulator that is right as it is."""

    def call(request: Record) -> Record:
        with state.LOCK:
            code, _, body = operation(request)
        answer: Record = json.loads(body)
        if code != 200:
            raise ServiceError(answer["__type"], answer["message"], code)
        return answer

    return call


def _handler(operations: Mapping[str, Operation]) -> Callable[..., Any]:
    async def handle(_method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Any) -> Any:
        name = headers.get("x-amz-target", "").removeprefix(_PREFIX)
        try:
            if name not in operations:
                raise ServiceError("UnknownOperationException", f"This cloud has no operation '{name}'.")
            model = service_model(_SERVICE).operation_model(name)
            return json_response(messages.answer(model, operations[name](messages.request(model, body))))
        except ServiceError as error:
            return error_response_json(
                error.code, error.message, error.status, dict(error.members), content_type=_CONTENT_TYPE
            )

    return handle
