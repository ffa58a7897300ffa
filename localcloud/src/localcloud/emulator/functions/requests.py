"""Reads a request of Lambda's REST API by botocore's service model, and refuses what Lambda refuses.

Source: AWS Lambda API reference; AWS Lambda Developer Guide, "Lambda quotas" and "Defined runtime environment
variables".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.images import Image, MissingImageError, find
from localcloud.service_model import rest
from localcloud.service_model.errors import ServiceError
from localcloud.service_model.rest import HttpRequest
from localcloud.service_model.validation import validate

OPERATIONS = frozenset(
    {
        *("CreateFunction", "GetFunction", "GetFunctionConfiguration", "ListFunctions", "DeleteFunction", "Invoke"),
        *("UpdateFunctionCode", "UpdateFunctionConfiguration", "GetAccountSettings"),
        *("PutFunctionConcurrency", "GetFunctionConcurrency", "DeleteFunctionConcurrency"),
        *("PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig", "GetFunctionEventInvokeConfig"),
        *("DeleteFunctionEventInvokeConfig", "ListFunctionEventInvokeConfigs"),
        *("TagResource", "UntagResource", "ListTags", "AddPermission", "RemovePermission", "GetPolicy"),
        *("PublishLayerVersion", "GetLayerVersion", "GetLayerVersionByArn", "DeleteLayerVersion"),
        *("ListLayers", "ListLayerVersions"),
    }
)
_LARGEST_SYNCHRONOUS = 6 * 1024 * 1024  # bytes of a payload
_LARGEST_ASYNCHRONOUS = 1024 * 1024
_LARGEST_ZIP = 50 * 1024 * 1024  # bytes, as part of a request
# Limits that the service model lacks: MB of memory (for functions on instances of one's own, it is more), seconds.
_MOST = {"MemorySize": 10240, "Timeout": 900}
_UNABLE = "Lambda was unable to configure your environment variables"
_LARGEST_ENVIRONMENT = 4096  # bytes, as JSON
_MISSING = {"Publish", "SnapStart", "DurableConfig", "TenancyConfig", "CapacityProviderConfig", "FileSystemConfigs"}
_NO_SNAPSHOT = {"ApplyOn": "None"}
_RESERVED = frozenset(
    {
        *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV"),
        *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
        *("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
    }
)


@dataclass(frozen=True)
class Request:
    """A valid request: the operation's name, and its members, but for a payload that isn't JSON."""

    operation: str
    members: Mapping[str, Any]


def read(http: HttpRequest) -> Request:
    """Return a request that the service model allows.

    Raises:
        ServiceError: It is none.
    """
    model, members = rest.read("lambda", OPERATIONS, http)
    _check_numbers(members)
    validate(model, members)
    return Request(model.name, members)


def check_function(members: Mapping[str, Any], images: Mapping[str, Image]) -> None:
    """Refuse what Lambda refuses of a function beyond the service model, of CreateFunction and the two updates.

    Args:
        members: The request's members.
        images: What runs in place of images and runtimes, by name.

    Raises:
        ServiceError: It is refused.
    """
    _check_numbers(members)
    _check_variables((members.get("Environment") or {}).get("Variables") or {})
    for member in _MISSING & members.keys():
        if members[member] not in (None, False, _NO_SNAPSHOT):
            raise _invalid(f"This cloud's Lambda has no {member}: leave it out.")
    code = members.get("Code") or members
    zip_file = code.get("ZipFile")
    if zip_file is not None:
        _check_zip(zip_file)
    for named in (code.get("ImageUri"), members.get("Runtime")):
        try:
            if named is not None:
                find(images, named)
        except MissingImageError as error:
            raise _invalid(f"{error}.") from error


def check_payload(payload: bytes, *, is_event: bool) -> None:
    """Refuse a payload that is too large or no JSON.

    Args:
        payload: The payload of Invoke.
        is_event: Whether the invocation is asynchronous.

    Raises:
        ServiceError: It is refused.
    """
    largest = _LARGEST_ASYNCHRONOUS if is_event else _LARGEST_SYNCHRONOUS
    if len(payload) > largest:
        message = f"Request must be smaller than {largest} bytes for the InvokeFunction operation"
        raise ServiceError("RequestTooLargeException", message, status=413)
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {error}"
        raise ServiceError("InvalidRequestContentException", message) from error


def _check_numbers(members: Mapping[str, Any]) -> None:
    for name, most in _MOST.items():
        value = members.get(name)
        if isinstance(value, int) and value > most:
            member = name[0].lower() + name[1:]
            fault = f"Value '{value}' at '{member}' failed to satisfy constraint: "
            constraint = f"Member must have value less than or equal to {most}"
            raise ServiceError("ValidationException", f"1 validation error detected: {fault}{constraint}")


def _check_variables(variables: Mapping[str, str]) -> None:
    start = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    if reserved := sorted(_RESERVED & variables.keys()):
        raise _invalid(
            f"{start} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(dict(variables), separators=(",", ":"))
    if len(measured.encode()) > _LARGEST_ENVIRONMENT:
        raise _invalid(f"{start} exceeded the 4KB limit. String measured: {measured}")


def _check_zip(zip_file: str) -> None:
    try:
        size = len(base64.b64decode(zip_file, validate=True))
    except binascii.Error as error:
        raise ServiceError("SerializationException", "ZipFile is not base64.") from error
    if size > _LARGEST_ZIP:
        message = f"Request must be smaller than {_LARGEST_ZIP} bytes for the CreateFunction operation"
        raise ServiceError("RequestEntityTooLargeException", message, status=413)


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", message)
