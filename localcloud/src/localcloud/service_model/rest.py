"""The requests of the REST-JSON protocol: members are in the path, the query, the headers and the body."""

from __future__ import annotations

import functools
import json
import re
import urllib.parse
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import OperationModel, Shape

from localcloud.service_model.errors import ServiceError
from localcloud.service_model.validation import service_model


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came.

    Attributes:
        method: The HTTP method.
        path: The path; its parameters may be percent-encoded.
        query: The query's parameters, each a text or a list of texts.
        headers: The headers, with names in lower case.
        body: The body.
    """

    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes


def read(service: str, operations: Collection[str], request: HttpRequest) -> tuple[OperationModel, dict[str, Any]]:
    """Return the operation of a request, and its members, which aren't checked yet; a payload isn't one of them.

    Args:
        service: The name of the service in botocore.
        operations: The operations that there are.
        request: The request.

    Raises:
        ServiceError: There is no such operation, or the body is no JSON object.
    """
    model, parameters = _operation(service, operations, request)
    shape_of_all: Any = model.input_shape
    has_payload = "payload" in shape_of_all.serialization
    members: dict[str, Any] = {} if has_payload else _json(request.body)
    for name, shape in shape_of_all.members.items():
        location, key = shape.serialization.get("location"), shape.serialization.get("name", name)
        if location == "uri" and key in parameters:
            members[name] = _converted(shape, parameters[key])
        elif location == "querystring" and key in request.query:
            members[name] = _converted(shape, request.query[key])
        elif location == "header" and key.lower() in request.headers:
            members[name] = _converted(shape, request.headers[key.lower()])
    return model, members


def _operation(
    service: str, operations: Collection[str], request: HttpRequest
) -> tuple[OperationModel, dict[str, str]]:
    path, query = request.path.rstrip("/"), _flat(request.query)
    for name, method, pattern, wanted in _routes(service):
        if method == request.method and (found := pattern.fullmatch(path)) and wanted.items() <= query.items():
            if name not in operations:
                raise ServiceError("UnknownOperationException", f"This cloud's {service} has no operation {name}.")
            parameters = {key: urllib.parse.unquote(value) for key, value in found.groupdict().items()}
            return service_model(service).operation_model(name), parameters
    message = f"{service} has no operation {request.method} {request.path}."
    raise ServiceError("UnknownOperationException", message, status=404)


@functools.cache
def _routes(service: str) -> tuple[tuple[str, str, re.Pattern[str], dict[str, str]], ...]:
    """Return name, method, path and fixed parameters of each operation; the most specific ones are first."""
    model = service_model(service)
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        pattern = re.sub(r"\\{(\w+)\\\+\\}", r"(?P<\1>.+)", re.escape(path.rstrip("/")))
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern)
        routes.append((name, http["method"], re.compile(pattern), dict(urllib.parse.parse_qsl(query))))
    return tuple(sorted(routes, key=lambda route: (-len(route[3]), route[2].groups, -len(route[2].pattern))))


def _flat(query: Mapping[str, Any]) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in query.items() if value}


def _converted(shape: Shape, value: Any) -> Any:
    if shape.type_name == "list":
        return value if isinstance(value, list) else [value]
    text: str = value[0] if isinstance(value, list) else value
    if shape.type_name in ("integer", "long"):
        try:
            return int(text)
        except ValueError as error:
            raise ServiceError("SerializationException", f"{text!r} is not a number.") from error
    return text == "true" if shape.type_name == "boolean" else text


def _json(body: bytes) -> dict[str, Any]:
    try:
        members = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ServiceError("SerializationException", f"The body is not JSON: {error}") from error
    if not isinstance(members, dict):
        raise ServiceError("SerializationException", "The body is not a JSON object.")
    return members
