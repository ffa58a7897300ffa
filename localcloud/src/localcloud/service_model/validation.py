"""Checks a request against botocore's service model, with the service's messages.

boto3 itself checks only types and minimum lengths. The server checks patterns, maxima and enumerations
(``1 validation error detected: Value 'x' at 'trainingJobName' failed to satisfy constraint: …``).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import botocore.loaders
import regex
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StringShape, StructureShape

from localcloud.service_model.errors import ServiceError, validation_error

_RESERVED = "aws:"  # the prefix of AWS's own tags, in any case (Tagging AWS resources, tag naming limits)


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Return the service model of an API, of the newest version that this botocore has.

    Args:
        service: The name of the service in botocore.
    """
    return ServiceModel(botocore.loaders.Loader().load_service_model(service, "service-2"), service)


def validate(operation: OperationModel, request: dict[str, Any]) -> None:
    """Refuse a request that the service model doesn't allow.

    Args:
        operation: The operation's part of the service model.
        request: The request as parsed from JSON.

    Raises:
        ServiceError: SerializationException for a wrong type, ValidationException for all broken constraints.
    """
    if operation.input_shape is None:
        return
    faults = list(_faults(operation.input_shape, request, ""))
    if faults:
        count = "1 validation error" if len(faults) == 1 else f"{len(faults)} validation errors"
        raise validation_error(f"{count} detected: {'; '.join(faults)}")


def known(shape: Shape, value: Any) -> Any:
    """Return a valid value without its nulls, and without the members that the shape doesn't have.

    The service ignores both. This is where an untyped request becomes the TypedDict of its operation.

    Args:
        shape: The value's shape in the service model.
        value: The value, valid by the shape.
    """
    if isinstance(shape, StructureShape):
        return {
            name: known(shape.members[name], item)
            for name, item in value.items()
            if name in shape.members and item is not None
        }
    if isinstance(shape, ListShape):
        return [known(shape.member, item) for item in value]
    return {key: known(shape.value, item) for key, item in value.items()} if isinstance(shape, MapShape) else value


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    _require_type(shape, value, path)
    if shape.type_name in _RANGES:
        _require_range(shape, value, path)
    if isinstance(shape, StructureShape):
        yield from _structure_faults(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _size_faults(shape, value, path)
        for position, item in enumerate(value, start=1):
            yield from _faults(shape.member, item, f"{path}.{position}.member")
    elif isinstance(shape, MapShape):
        yield from _size_faults(shape, value, path)
        for key, item in value.items():
            yield from _faults(shape.key, key, path)
            yield from _faults(shape.value, item, f"{path}.{key}.member")
    else:
        yield from _scalar_faults(shape, value, path)


def _structure_faults(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_member(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, item in value.items():
        if name in shape.members and item is not None:
            yield from _faults(shape.members[name], item, _member(path, name))


def _scalar_faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    def fault(constraint: str) -> str:
        return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"

    if isinstance(shape, StringShape):
        if shape.enum and value not in shape.enum:
            yield fault(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
        pattern = shape.metadata.get("pattern")
        if pattern is not None and not matches(pattern, value):
            yield fault(f"Member must satisfy regular expression pattern: {pattern}")
        yield from _size_faults(shape, value, path)
        if shape.name == "TagKey" and value.lower().startswith(_RESERVED):
            yield fault(f"{_RESERVED} prefixed tag key names are not allowed for external use")
    elif shape.type_name in ("integer", "long", "float", "double"):
        for limit, broken, word in _LIMITS:
            if limit in shape.metadata and broken(value, shape.metadata[limit]):
                yield fault(f"Member must have value {word} than or equal to {shape.metadata[limit]}")


def _size_faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    for limit, broken, word in _LIMITS:
        if limit in shape.metadata and broken(len(value), shape.metadata[limit]):
            yield (
                f"Value '{value}' at '{path}' failed to satisfy constraint: "
                f"Member must have length {word} than or equal to {shape.metadata[limit]}"
            )


_LIMITS: tuple[tuple[str, Callable[[float, float], bool], str], ...] = (
    ("min", lambda value, limit: value < limit, "greater"),
    ("max", lambda value, limit: value > limit, "less"),
)

# The greatest magnitudes of Java's types, into which the service reads requests.
_RANGES: dict[str, float] = {
    "integer": 2**31 - 1,
    "long": 2**63 - 1,
    **dict.fromkeys(("float", "double", "timestamp"), sys.float_info.max),
}

_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


def _require_type(shape: Shape, value: Any, path: str) -> None:
    is_boolean = isinstance(value, bool)
    if not isinstance(value, _TYPES[shape.type_name]) or (is_boolean and shape.type_name != "boolean"):
        where = f" at '{path}'" if path else ""
        raise ServiceError(
            "SerializationException",
            f"Unexpected value of type {type(value).__name__}{where}: expected {shape.type_name}",
        )


def _require_range(shape: Shape, value: float, path: str) -> None:
    most = _RANGES[shape.type_name]
    if not -most - 1 <= value <= most:
        raise ServiceError("SerializationException", f"The number at '{path}' is out of range for {shape.type_name}")


def _member(path: str, name: str) -> str:
    lowered = name[0].lower() + name[1:]
    return f"{path}.{lowered}" if path else lowered


# The limit of a match: some patterns of the service model take exponential time on values that are made for it.
_MATCH_SECONDS = 0.2


def matches(pattern: str, value: str) -> bool:
    """Return whether the whole value fits a pattern of the service model; False if the match takes too long.

    Args:
        pattern: The pattern in Java's syntax.
        value: The value.
    """
    try:
        return _compiled(pattern).fullmatch(value, timeout=_MATCH_SECONDS) is not None
    except TimeoutError:
        return False


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    """Compile a pattern of Java's, where classes such as ``\\w`` are ASCII, but for ``\\p{L}`` and its like."""
    python = regex.sub(r"\$\{\d+,\d+\}$", "$", pattern)  # a repeated end is one end
    python = python.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")  # Java's strings are UTF-16
    return regex.compile(python, 0 if r"\p{" in pattern else regex.ASCII)
