"""Checks a request against the botocore service model, in the service's words.

boto3 itself checks only types and minimum lengths; patterns, maxima and enumerations are the server's to
refuse (``1 validation error detected: Value 'x' at 'trainingJobName' failed to satisfy constraint: …``).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import botocore.loaders
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StringShape, StructureShape

from localcloud.sagemaker.errors import ServiceError, validation_error


@functools.cache
def service_model() -> ServiceModel:
    """SageMaker's service model, of the newest version that this botocore knows."""
    description = botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    return ServiceModel(description, "sagemaker")


def validate(operation: OperationModel, request: dict[str, Any]) -> None:
    """Refuse a request that the service model doesn't allow.

    Raises:
        ServiceError: SerializationException for a wrong type, ValidationException for all broken constraints.
    """
    if operation.input_shape is None:
        return
    faults = list(_faults(operation.input_shape, request, ""))
    if faults:
        count = "1 validation error" if len(faults) == 1 else f"{len(faults)} validation errors"
        raise validation_error(f"{count} detected: {'; '.join(faults)}")


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    _require_type(shape, value, path)
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
        if pattern is not None and _compiled(pattern).fullmatch(value) is None:
            yield fault(f"Member must satisfy regular expression pattern: {pattern}")
        yield from _size_faults(shape, value, path)
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
    "timestamp": (int, float, str),
}


def _require_type(shape: Shape, value: Any, path: str) -> None:
    is_boolean = isinstance(value, bool)
    if not isinstance(value, _TYPES[shape.type_name]) or (is_boolean and shape.type_name != "boolean"):
        where = f" at '{path}'" if path else ""
        raise ServiceError(
            "SerializationException",
            f"Unexpected value of type {type(value).__name__}{where}: expected {shape.type_name}",
        )


def _member(path: str, name: str) -> str:
    lowered = name[0].lower() + name[1:]
    return f"{path}.{lowered}" if path else lowered


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_python_pattern(pattern))


# The service model writes Java's classes, which Python's ``re`` doesn't know; each stands inside [brackets].
_JAVA_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\w",
    r"\p{Alnum}": "A-Za-z0-9",
    r"\p{M}": "\u0300-\u036f",
    r"\p{Z}": " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    r"\p{P}": r"!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u2027\u2030-\u205e",
    r"\p{S}": r"!-/:-@\[-`{-~\u00a2-\u00b8\u20a0-\u20bf\u2100-\u2bff",
}


def _python_pattern(pattern: str) -> str:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return pattern
