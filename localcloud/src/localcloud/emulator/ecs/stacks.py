"""The resources of ECS in CloudFormation's templates: AWS::ECS::Cluster and AWS::ECS::TaskDefinition.

Restores: a task definition in a template is checked as in RegisterTaskDefinition, and has all of its properties. The
released emulator copies some of them unchecked.

Source: AWS CloudFormation Template Reference, AWS::ECS::TaskDefinition (its members are those of the API, capitalized).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from ministack.services import ecs

from localcloud.emulator.ecs import clusters, task_definitions
from localcloud.emulator.ecs.state import LOCK, Record
from localcloud.service_model.errors import ServiceError
from localcloud.service_model.validation import service_model, validate

Handlers = dict[str, Callable[..., Any]]

_TASK_DEFINITION = "AWS::ECS::TaskDefinition"
_CLUSTER = "AWS::ECS::Cluster"


def patch(handlers: dict[str, Handlers]) -> None:
    """Replace the handlers of these resources.

    Args:
        handlers: The emulator's, by the type of the resource.
    """
    handlers[_TASK_DEFINITION] = {
        "create": _create_definition,
        "update": _update_definition,
        "update_with_logical_id": True,  # type: ignore[dict-item]  # a flag of the emulator's
        "delete": _delete_definition,
    }
    handlers[_CLUSTER] = {**handlers[_CLUSTER], "delete": _delete_cluster}


def _create_definition(logical_id: str, properties: Record, stack: str) -> tuple[str, Record]:
    operation = service_model("ecs").operation_model("RegisterTaskDefinition")
    request = _members(operation.input_shape, {"Family": f"{stack}-{logical_id}", **properties}, _TASK_DEFINITION)
    try:
        validate(operation, request)
        arn = task_definitions.register(request)["taskDefinition"]["taskDefinitionArn"]
    except ServiceError as error:
        raise ValueError(f"Invalid request provided: Create TaskDefinition: {error.message}") from error
    return arn, {"TaskDefinitionArn": arn}


def _update_definition(
    physical_id: str, old: Record, new: Record, stack: str, logical_id: str | None = None
) -> tuple[str, Record]:
    """Register the next revision; only tags are changed in place."""
    if _without_tags(old) != _without_tags(new):
        return _create_definition(logical_id or physical_id, new, stack)
    with LOCK:
        ecs._tags[physical_id] = [{"key": tag["Key"], "value": tag["Value"]} for tag in new.get("Tags", [])]
    return physical_id, {"TaskDefinitionArn": physical_id}


def _delete_definition(physical_id: str, _properties: Record) -> None:
    with LOCK:
        if task_definitions.find(physical_id) is not None:
            task_definitions.deregister({"taskDefinition": physical_id})


def _delete_cluster(physical_id: str, _properties: Record) -> None:
    with LOCK:
        if physical_id in ecs._clusters:
            try:
                clusters.delete({"cluster": physical_id})
            except ServiceError as error:
                raise ValueError(str(error)) from error


def _without_tags(properties: Record) -> Record:
    return {name: value for name, value in properties.items() if name != "Tags"}


def _members(shape: Shape | None, value: Any, where: str) -> Any:
    """Return what a value of a template is in a request: names begin in lower case, and numbers may be texts."""
    if isinstance(shape, StructureShape):
        members = {name[0].upper() + name[1:]: name for name in shape.members}
        for name in value:
            if name not in members:
                raise ValueError(f"{where} has no property {name}")
        return {members[name]: _members(shape.members[members[name]], item, name) for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [_members(shape.member, item, where) for item in value]
    if isinstance(shape, MapShape):
        return {key: _members(shape.value, item, where) for key, item in value.items()}
    if shape is not None and shape.type_name in ("integer", "long") and isinstance(value, str) and value.isdecimal():
        return int(value)
    if shape is not None and shape.type_name == "boolean" and value in ("true", "false"):
        return value == "true"
    return str(value) if shape is not None and shape.type_name == "string" else value
