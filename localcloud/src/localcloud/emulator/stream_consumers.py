"""Registered consumers of streams in CloudFormation's templates: AWS::Kinesis::StreamConsumer.

Restores: the type, which the released emulator does not have.

Source: AWS CloudFormation Template Reference, AWS::Kinesis::StreamConsumer (Ref is the consumer's ARN; a change of the
name or of the stream is a replacement).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.services import kinesis

TYPE = "AWS::Kinesis::StreamConsumer"

Properties = dict[str, Any]
Made = tuple[str, dict[str, Any]]

_OK = 200
_CREATE_ONLY = ("ConsumerName", "StreamARN")


def patch(handlers: dict[str, dict[str, Any]], replacing: dict[str, tuple[str, ...]]) -> None:
    """Add the handlers of consumers.

    Args:
        handlers: The emulator's handlers of resources, by type.
        replacing: The emulator's properties whose change replaces a resource, by type.
    """
    handlers[TYPE] = {"create": _create, "update": _update, "delete": _delete}
    replacing[TYPE] = _CREATE_ONLY


def _create(_logical_id: str, properties: Properties, _stack: str) -> Made:
    for name in _CREATE_ONLY:
        if not properties.get(name):
            raise ValueError(f"Properties validation failed for resource: required key [{name}] not found")
    registered = _call(kinesis._register_consumer, properties)
    arn: str = registered["Consumer"]["ConsumerARN"]
    return arn, _attributes(arn)


def _update(arn: str, old: Properties, new: Properties, stack: str) -> Made:
    if any(old.get(name) != new.get(name) for name in _CREATE_ONLY):
        return _create(arn, new, stack)  # the emulator then deletes the old one
    return arn, _attributes(arn)


def _delete(arn: str, _properties: Properties) -> None:
    if arn in kinesis._consumers:  # it is gone with its stream
        _call(kinesis._deregister_consumer, {"ConsumerARN": arn})


def _attributes(arn: str) -> dict[str, Any]:
    described = _call(kinesis._describe_stream_consumer, {"ConsumerARN": arn})["ConsumerDescription"]
    return {name: str(value) for name, value in described.items()}


def _call(operation: Callable[[Properties], Any], request: Properties) -> Any:
    status, _, body = operation(request)
    answer = json.loads(body)
    if status != _OK:
        raise ValueError(answer["message"])
    return answer
