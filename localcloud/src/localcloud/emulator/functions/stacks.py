"""Functions and layers of CloudFormation stacks, which the emulator makes without asking Lambda.

Restores: a function that Lambda refuses fails its stack; its concurrency and its dead-letter queue are set; it is ready
when the stack is. A layer without its file fails.

Source: AWS CloudFormation Template Reference, AWS::Lambda::Function and AWS::Lambda::LayerVersion.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import lambda_svc, s3

from localcloud.emulator.functions import operations, requests
from localcloud.images import Image
from localcloud.service_model.errors import ServiceError
from localcloud.service_model.validation import known, service_model, validate

FUNCTION, LAYER = "AWS::Lambda::Function", "AWS::Lambda::LayerVersion"
TYPES = (FUNCTION, LAYER, "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::Permission")

Properties = dict[str, Any]
Made = tuple[str, dict[str, Any]]

_NUMBERS = ("Timeout", "MemorySize", "ReservedConcurrentExecutions")


def patch(handlers: dict[str, dict[str, Any]], images: Mapping[str, Image]) -> None:
    """Replace the emulator's handlers of functions and layers.

    Args:
        handlers: The emulator's handlers of resources, by type.
        images: What runs in place of images and runtimes, by name.
    """
    function = handlers[FUNCTION]
    function["create"] = _creating(function["create"], images)
    function["update"] = _updating(function["update"], images)
    handlers[LAYER]["create"] = _with_content(handlers[LAYER]["create"])


def _creating(create: Callable[..., Made], images: Mapping[str, Image]) -> Callable[..., Made]:
    def call(logical_id: str, properties: Properties, stack: str) -> Made:
        wanted = _checked(properties, images)
        if wanted.get("FunctionName") in lambda_svc._functions:
            raise ValueError(f"Function already exist: {wanted['FunctionName']}")
        return _completed(create(logical_id, wanted, stack), wanted)

    return call


def _updating(update: Callable[..., Made], images: Mapping[str, Image]) -> Callable[..., Made]:
    def call(name: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        wanted = _checked(new, images)
        return _completed(update(name, old, wanted, stack, logical_id), wanted)

    return call


def _with_content(create: Callable[..., Made]) -> Callable[..., Made]:
    def call(logical_id: str, properties: Properties, stack: str) -> Made:
        _require_object(properties.get("Content") or {})
        return create(logical_id, properties, stack)

    return call


def _completed(made: Made, properties: Properties) -> Made:
    """Set what the emulator leaves out, and make the function ready: CloudFormation waits for it."""
    function = lambda_svc._functions[made[0]]
    function["concurrency"] = properties.get("ReservedConcurrentExecutions")
    if target := (properties.get("DeadLetterConfig") or {}).get("TargetArn"):
        function["config"]["DeadLetterConfig"] = {"TargetArn": target}
    else:
        function["config"].pop("DeadLetterConfig", None)
    operations.settle(function)
    return made


def _checked(properties: Properties, images: Mapping[str, Image]) -> Properties:
    """Return the properties with numbers as numbers, if Lambda allows such a function.

    Raises:
        ValueError: It doesn't; the message is Lambda's.
    """
    wanted: Properties = {name: int(value) if name in _NUMBERS else value for name, value in properties.items()}
    if storage := wanted.get("EphemeralStorage"):
        wanted["EphemeralStorage"] = {"Size": int(storage["Size"])}
    model = service_model("lambda").operation_model("CreateFunction")
    code = dict(wanted.get("Code") or {})
    if "ZipFile" in code:  # it is source here, which CloudFormation zips
        code["ZipFile"] = base64.b64encode(code["ZipFile"].encode()).decode()
    named = {"FunctionName": "generated", **wanted, "Code": code}
    shape: Any = model.input_shape
    request = known(shape, {name: value for name, value in named.items() if name != "Tags"})
    try:
        requests.check_function(request, images)
        validate(model, request)
    except ServiceError as error:
        raise ValueError(error.message) from error
    _require_object(code)
    return wanted


def _require_object(content: Mapping[str, Any]) -> None:
    bucket, key = content.get("S3Bucket"), content.get("S3Key")
    if bucket and key and s3._get_object_data(bucket, key, version_id=content.get("S3ObjectVersion")) is None:
        raise ValueError(f"Error occurred while GetObject. S3 Error Code: NoSuchKey: s3://{bucket}/{key}")
